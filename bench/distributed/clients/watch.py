"""``python -m bench.distributed.clients.watch URL IDLE LOADED``: submit jobs, and see them end.

Each job is posted, and then followed on a socket of its own, as the founding document's client does.
First IDLE jobs, one after the other; then LOADED jobs, 64 at a time.
"""

import asyncio
import json
import statistics
import sys
import time
from itertools import islice, repeat

import aiohttp

from bench.distributed.peers.payload import PARAMS

AT_ONCE = 64
WARM_UP = 50
JOB_SECONDS = 30.0
ENDS = {"job_completed": True, "job_error": False}


async def main(url: str, idle: int, loaded: int) -> dict[str, float]:
    """Return milliseconds of the first, jobs per second of the second."""
    connections = aiohttp.TCPConnector(limit=4 * AT_ONCE)
    async with aiohttp.ClientSession(url, connector=connections) as session:
        await _all(session, WARM_UP, at_once=8)
        times = [await _one(session) for _ in range(idle)]
        start = time.perf_counter()
        await _all(session, loaded, at_once=AT_ONCE)
        rate = loaded / (time.perf_counter() - start)
    marks = statistics.quantiles(times, n=100)
    return {"p50": 1000 * marks[49], "p99": 1000 * marks[98], "rate": rate}


async def _all(session: aiohttp.ClientSession, jobs: int, *, at_once: int) -> None:
    waiting = islice(repeat(None), jobs)

    async def client() -> None:
        for _ in waiting:
            await _one(session)

    await asyncio.gather(*(client() for _ in range(at_once)))


async def _one(session: aiohttp.ClientSession) -> float:
    start = time.perf_counter()
    async with asyncio.timeout(JOB_SECONDS):
        async with session.post("/api/jobs", json={"type": "noop", "params": PARAMS}) as answer:
            answer.raise_for_status()
            job_id = (await answer.json())["job_id"]
        async with session.ws_connect(f"/api/ws/jobs/{job_id}") as socket:
            seen = time.perf_counter() if await _ended_well(socket) else None
    if seen is None:
        raise RuntimeError(f"job {job_id} did not end well")
    return seen - start


async def _ended_well(socket: aiohttp.ClientWebSocketResponse) -> bool:
    async for frame in socket:
        kind = json.loads(frame.data)["type"]
        if kind in ENDS:
            return ENDS[kind]
    return False


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
