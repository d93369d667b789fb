"""A few threads that read, each on a connection of its own."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from encola.adapters.sql.failures import translated
from encola.domain.errors import Overloaded, StoreUnavailable

T = TypeVar("T")

MAX_WAITING = 10_000


class _Mine(threading.local):
    """The connection of one thread, and until when its present work may take."""

    connection: Connection | None = None
    deadline: float = float("inf")


class Readers:
    """Runs queries off the loop. Every statement sees what was committed when it began."""

    def __init__(self, connect: Callable[[], Connection], *, threads: int, seconds: float) -> None:
        self._connect = connect
        self._seconds = seconds
        self._mine = _Mine()
        self._waiting = 0
        self._open: set[Connection] = set()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="encola-sql-reader")
        self._closing = False

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Return what the work returns.

        :raises Overloaded: too much is waiting
        :raises StoreUnavailable: the database cannot answer now, or these readers are closed
        """
        if self._closing:
            raise StoreUnavailable("The database is closed.")
        if self._waiting >= MAX_WAITING:
            raise Overloaded("Too many reads are waiting for the database.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._work, work)
        finally:
            self._waiting -= 1

    def is_late(self) -> bool:
        """Tell whether the work of this thread has taken too long."""
        return time.monotonic() > self._mine.deadline

    async def close(self) -> None:
        """Finish what was begun, and end."""
        self._closing = True
        await asyncio.to_thread(self._pool.shutdown)
        for connection in self._open:
            with contextlib.suppress(SQLAlchemyError):
                connection.close()

    def _work(self, work: Callable[[Connection], T]) -> T:
        self._mine.deadline = time.monotonic() + self._seconds
        try:
            try:
                return self._attempt(work)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                # The server hung up since the last time; to read again does no harm.
                return self._attempt(work)
        except SQLAlchemyError as error:
            raise translated(error) from error

    def _attempt(self, work: Callable[[Connection], T]) -> T:
        try:
            return work(self._connected())
        except SQLAlchemyError:
            self._disconnect()
            raise

    def _connected(self) -> Connection:
        if self._mine.connection is None:
            self._mine.connection = self._connect()
            self._open.add(self._mine.connection)
        return self._mine.connection

    def _disconnect(self) -> None:
        connection, self._mine.connection = self._mine.connection, None
        if connection is not None:
            self._open.discard(connection)
            with contextlib.suppress(SQLAlchemyError):
                connection.close()
