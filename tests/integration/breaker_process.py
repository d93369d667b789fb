"""One of several processes whose callers go through a breaker: ``breaker_process.py NAME REDIS_URL PORT``.

It prints each new state of its circuit.
"""

import asyncio
import random
import sys
import time
from functools import partial

from encola.adapters.http.breaker import Breaker, Outcome
from encola.adapters.redis import RedisCircuitBoard, RedisLinks

CALLERS = 50
FIRST_OPEN = 1.0


async def call(name: str, port: int, is_probe: bool) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"{name} {'probe' if is_probe else 'call'}\n".encode())
        return await reader.readline() == b"fine\n"
    finally:
        writer.close()


async def keep_calling(breaker: Breaker, name: str, port: int) -> None:
    while True:
        permit = breaker.admit() or await breaker.admit_probe()
        if permit is None:
            await asyncio.sleep(0.01)
            continue
        is_fine = await call(name, port, permit.is_probe)
        breaker.record(permit, Outcome.GOOD if is_fine else Outcome.BAD)
        await asyncio.sleep(0.05)


async def main(name: str, url: str, port: int) -> None:
    links = RedisLinks(url)
    board = RedisCircuitBoard(links, ["upstream"])
    breaker = Breaker(
        "upstream",
        now=time.monotonic,
        chance=random.random,
        board=board,
        first_open=FIRST_OPEN,
        changed=partial(print, flush=True),
    )
    board.listen(breaker.hear)
    await links.open()
    board.open()
    await asyncio.gather(*(keep_calling(breaker, name, port) for _ in range(CALLERS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
