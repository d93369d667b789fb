"""Waiting for what must become true, with a deadline."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

POLL_SECONDS = 0.05


async def becomes(
    is_so: Callable[[], bool | Awaitable[bool]], seconds: float, pause: float = POLL_SECONDS
) -> bool:
    """Return ``True`` as soon as it is so, ``False`` when it was not in so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        answer = is_so()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer or time.monotonic() > deadline:
            return bool(answer)
        await asyncio.sleep(pause)
