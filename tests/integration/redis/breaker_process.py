"""One of several processes whose callers go through a breaker: ``breaker_process.py REDIS_URL PORT``."""

import asyncio
import random
import sys
import time

from encola.adapters.http.breaker import Breaker, Outcome
from encola.adapters.redis import RedisCircuitBoard, RedisLinks

CALLERS = 50


async def call(port: int, is_probe: bool) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"probe\n" if is_probe else b"call\n")
        return await reader.readline() == b"fine\n"
    finally:
        writer.close()


async def callers(breaker: Breaker, port: int) -> None:
    while True:
        permit = breaker.admit() or await breaker.admit_probe()
        if permit is None:
            await asyncio.sleep(0.01)
            continue
        is_fine = await call(port, permit.is_probe)
        breaker.record(permit, Outcome.GOOD if is_fine else Outcome.BAD)
        await asyncio.sleep(0.05)


async def main(url: str, port: int) -> None:
    links = RedisLinks(url)
    board = RedisCircuitBoard(links, ["upstream"])
    breaker = Breaker("upstream", now=time.monotonic, chance=random.random, board=board, first_open=1.0)
    board.listen(breaker.hear)
    await links.open()
    board.open()
    await asyncio.gather(*(callers(breaker, port) for _ in range(CALLERS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
