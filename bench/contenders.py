"""What is compared: each runs N no-op jobs in a fresh process and prints jobs per second.

``python -m bench.contenders NAME N`` runs one.
"""

import asyncio
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SUBMITTERS = 32
HUEY_WORKERS = 4

Rates = dict[str, float]


def encola(jobs: int, *, profile: str, fsync: bool) -> Rates:
    """Submit from 32 tasks and run in the same process, every state durable before the next."""
    os.environ["ENCOLA_PROFILE"] = profile
    os.environ["ENCOLA_FSYNC"] = str(fsync).lower()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ENCOLA_DATA_DIR"] = folder
        return asyncio.run(_encola(jobs))


async def _encola(jobs: int) -> Rates:
    from bench.app import PARAMS, app

    waiting = iter(range(jobs))

    async def submitter() -> None:
        for _ in waiting:
            await app.submit("noop", PARAMS)

    async with app:
        start = time.perf_counter()
        await asyncio.gather(*(submitter() for _ in range(SUBMITTERS)))
        submitted = time.perf_counter()
        await _all_finished(app.use_cases.render_metrics, jobs)
        ended = time.perf_counter()
    return {"submit": jobs / (submitted - start), "end to end": jobs / (ended - start)}


async def _all_finished(render_metrics: Callable[[], bytes], jobs: int) -> None:
    while True:
        if _finished(render_metrics()) >= jobs:
            return
        await asyncio.sleep(0.005)


def _finished(metrics: bytes) -> int:
    name = b'encola_jobs_finished_total{status="completed",type="noop"}'
    lines = [line for line in metrics.splitlines() if line.startswith(name)]
    return int(float(lines[0].split()[-1])) if lines else 0


def huey(jobs: int, *, fsync: bool) -> Rates:
    """Enqueue all, then consume with threads in the same process, and read every result."""
    from huey import SqliteHuey

    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        queue = SqliteHuey(filename=str(Path(folder) / "huey.db"), fsync=fsync, results=True)

        @queue.task()
        def noop(params: object) -> int:
            return 1  # Huey keeps no result for None, and would have nothing to wait for

        from bench.app import PARAMS

        consumer = queue.create_consumer(
            workers=HUEY_WORKERS, periodic=False, initial_delay=0.001, max_delay=0.001, backoff=1.0
        )
        start = time.perf_counter()
        results = [noop(PARAMS) for _ in range(jobs)]
        submitted = time.perf_counter()
        consumer.start()
        for result in results:
            result.get(blocking=True, preserve=True, timeout=120, backoff=1.0, max_delay=0.002)
        ended = time.perf_counter()
        consumer.stop(graceful=True)
    return {"submit": jobs / (submitted - start), "end to end": jobs / (ended - start)}


def floor(jobs: int) -> Rates:
    """Pass no-op coroutines through an ``asyncio.Queue``: nothing is kept or told."""
    return asyncio.run(_floor(jobs))


async def _floor(jobs: int) -> Rates:
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def noop(number: int) -> None:
        return None

    async def worker() -> None:
        while True:
            await asyncio.create_task(noop(await queue.get()))
            queue.task_done()

    workers = [asyncio.create_task(worker()) for _ in range(SUBMITTERS)]
    start = time.perf_counter()
    for number in range(jobs):
        await queue.put(number)
    submitted = time.perf_counter()
    await queue.join()
    ended = time.perf_counter()
    for task in workers:
        task.cancel()
    return {"submit": jobs / (submitted - start), "end to end": jobs / (ended - start)}


CONTENDERS: dict[str, Callable[[int], Rates]] = {
    "Encola embedded, fsync on": lambda jobs: encola(jobs, profile="embedded", fsync=True),
    "Huey on SQLite, fsync on": lambda jobs: huey(jobs, fsync=True),
    "Encola embedded, fsync off": lambda jobs: encola(jobs, profile="embedded", fsync=False),
    "Huey on SQLite, fsync off": lambda jobs: huey(jobs, fsync=False),
    "Encola in memory": lambda jobs: encola(jobs, profile="memory", fsync=False),
    "asyncio.Queue alone": floor,
}

if __name__ == "__main__":
    print(json.dumps(CONTENDERS[sys.argv[1]](int(sys.argv[2]))))
