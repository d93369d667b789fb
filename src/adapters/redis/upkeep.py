"""Keeping one connection to Redis for as long as a process lives."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeAlias

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

Connect: TypeAlias = Callable[[], Awaitable[AbstractConnection]]
Serve: TypeAlias = Callable[[AbstractConnection], Awaitable[None]]

CONNECT_SECONDS: Final = 5.0
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0


class Upkeep:
    """Connects, lets ``serve`` use the connection until it fails, and begins again.

    ``purpose`` is what the connection is for, as the log is to say it. The pauses between attempts
    grow to one second, and are spread by chance so that the processes of a fleet do not come at once.
    """

    def __init__(self, purpose: str, connect: Connect, serve: Serve) -> None:
        self._purpose = purpose
        self._connect = connect
        self._serve = serve
        self._pause = FIRST_PAUSE
        self._life: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to connect; it need not succeed yet. A second call changes nothing."""
        if self._life is None:
            self._life = asyncio.create_task(self._live())

    async def close(self) -> None:
        """Disconnect, and return when that is done."""
        life, self._life = self._life, None
        while life is not None and not life.done():
            life.cancel()  # more than once, for a library may have swallowed it
            await asyncio.wait({life}, timeout=0.1)

    async def _live(self) -> None:
        while True:
            try:
                await self._once()
            except (RedisError, OSError, TimeoutError) as error:
                # An error of Redis names commands and channels, never what they carried.
                level = logging.WARNING if self._pause == FIRST_PAUSE else logging.DEBUG
                logger.log(level, "Redis is away for %s (%s: %s)", self._purpose, type(error).__name__, error)
            except Exception:
                logger.exception("%s begins anew after an error of its own", self._purpose)
            await asyncio.sleep(random.uniform(self._pause / 2, self._pause))
            self._pause = min(LONGEST_PAUSE, self._pause * 2)

    async def _once(self) -> None:
        connection = await self._connected()
        if self._pause > FIRST_PAUSE:
            logger.info("Redis is back for %s", self._purpose)
        began = time.monotonic()
        try:
            await self._serve(connection)
        finally:
            if time.monotonic() - began > LONGEST_PAUSE:
                self._pause = FIRST_PAUSE
            await connection.disconnect(nowait=True)

    async def _connected(self) -> AbstractConnection:
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await self._connect()
            try:
                # A Redis that still loads its data takes connections, but refuses this.
                await connection.send_command("PING", check_health=False)
                await connection.read_response()
            except BaseException:
                await connection.disconnect(nowait=True)
                raise
        return connection


async def until_one_ends(*works: Coroutine[Any, Any, None]) -> None:
    """Run the works side by side until one of them ends, and stop the others.

    What ended it is raised.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end
