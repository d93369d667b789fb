"""A connection to RabbitMQ that comes back by itself."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Final

import aiormq
from aiormq.abc import AbstractConnection

from encola.adapters.celery.address import BrokerAddress

logger = logging.getLogger(__name__)
# It reports every attempt to connect as an error; the link reports an outage once.
logging.getLogger("aiormq").setLevel(logging.CRITICAL)

CONNECT_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 2.0
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
SETTLED_SECONDS: Final = 1.0

Serve = Callable[[AbstractConnection], Coroutine[None, None, None]]


class BrokerLink:
    """Connects, lets ``serve`` use the connection until that raises, and begins again, for ever."""

    def __init__(self, address: BrokerAddress, serve: Serve) -> None:
        self._address = address
        self._serve = serve
        self._life: asyncio.Task[None] | None = None
        self._is_lost = False
        self._pause = FIRST_PAUSE

    async def open(self) -> None:
        """Begin to connect; it need not succeed yet."""
        if self._life is None:
            self._life = asyncio.create_task(self._live())

    async def close(self) -> None:
        """Disconnect."""
        life, self._life = self._life, None
        if life is not None:
            life.cancel()
            await asyncio.wait({life}, timeout=2 * CLOSE_SECONDS)

    async def _live(self) -> None:
        while True:
            connection = None
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    connection = await aiormq.connect(self._address.for_publisher)
                with self._settling():
                    await self._use(connection)
            except Exception as error:
                self._note_lost(error)
            finally:
                if connection is not None:
                    await close(connection)
            await asyncio.sleep(self._pause)
            self._pause = min(LONGEST_PAUSE, self._pause * 2)

    async def _use(self, connection: AbstractConnection) -> None:
        """Serve until that raises, or until soon after the end of the connection.

        aiormq does not tell everyone who awaits something of a connection that it is lost, and whoever is
        cancelled in such a wait may begin another; so neither the end of ``serve`` nor its being
        cancelled is waited for without a bound.
        """
        serving = asyncio.create_task(self._serve(connection))
        try:
            await asyncio.wait({serving, connection.closing}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({serving}, timeout=CLOSE_SECONDS)
        finally:
            serving.cancel()
            ended, _ = await asyncio.wait({serving}, timeout=CLOSE_SECONDS)
        if not ended or serving.cancelled():
            raise ConnectionError("the connection ended, and its use did not")
        await serving

    @contextmanager
    def _settling(self) -> Generator[None, None, None]:
        """Count the outage as over when the connection has been of use for a while."""
        timer = asyncio.get_running_loop().call_later(SETTLED_SECONDS, self._note_found)
        try:
            yield
        finally:
            timer.cancel()

    def _note_found(self) -> None:
        self._pause = FIRST_PAUSE
        if self._is_lost:
            logger.info("RabbitMQ at %s is back", self._address.place)
        self._is_lost = False

    def _note_lost(self, error: Exception) -> None:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        level = logging.DEBUG if self._is_lost else logging.WARNING
        logger.log(level, "RabbitMQ at %s cannot be used (%s)", self._address.place, type(error).__name__)
        self._is_lost = True


async def close(connection: AbstractConnection) -> None:
    """Close a connection, whatever state it is in, within two seconds."""
    with suppress(Exception):
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.close()
