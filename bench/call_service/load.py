"""So many calls, so many at once."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

QUESTION = {"question": "x" * 82}
WARM_UP = 200


async def rate(calls: int, at_once: int, call: Callable[[], Awaitable[None]]) -> dict[str, float]:
    """Return calls a second, and the processor's microseconds for each of them."""
    await _all(WARM_UP, at_once, call)
    began, used = time.perf_counter(), time.process_time()
    await _all(calls, at_once, call)
    return {
        "rate": calls / (time.perf_counter() - began),
        "cpu": (time.process_time() - used) / calls * 1e6,
    }


async def _all(calls: int, at_once: int, call: Callable[[], Awaitable[None]]) -> None:
    left = calls

    async def caller() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    await asyncio.gather(*(caller() for _ in range(at_once)))


def say(figures: dict[str, float]) -> None:
    """Print figures for the process that started this one."""
    print(json.dumps(figures), flush=True)
