"""One thread that writes, and commits many writes at once."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from encola.adapters.sql.failures import translated
from encola.domain.errors import Overloaded, StoreUnavailable

T = TypeVar("T")

MAX_WAITING = 10_000


@dataclass(slots=True, eq=False)
class _Write(Generic[T]):
    """One piece of work, who waits for it, and what came of it."""

    work: Callable[[Connection], T]
    caller: asyncio.Future[T]
    abandoned: Callable[[T], None] | None
    result: T | None = None
    error: BaseException | None = None

    def deliver(self) -> None:
        """Tell the caller what came of it."""
        if not self.caller.done():
            if self.error is not None:
                self.caller.set_exception(self.error)
            else:
                self.caller.set_result(self.result)  # type: ignore[arg-type]
        elif self.error is None and self.abandoned is not None:
            self.abandoned(self.result)  # type: ignore[arg-type]


class GroupCommitWriter:
    """Runs work in the order in which it came, in one thread, on one connection.

    All that waits is committed together, for it is the commit that costs; nobody is answered before
    it has succeeded. When one fails all are undone and done once more, now each between savepoints, so
    that it leaves nothing behind and its neighbours unharmed: work may run twice, but counts once.

    ``begin`` is the statement that begins a transaction, ``batch`` the most work that one holds.
    """

    def __init__(self, connect: Callable[[], Connection], *, begin: str, batch: int) -> None:
        self._connect = connect
        self._begin = begin
        self._batch = batch
        self._queue: SimpleQueue[_Write[Any] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._waiting = 0
        self._closing = False
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="encola-sql-writer", daemon=True)
        self._thread.start()

    def submit(
        self, work: Callable[[Connection], T], abandoned: Callable[[T], None] | None = None
    ) -> asyncio.Future[T]:
        """Queue work; the future has its result once that is committed.

        When the future was cancelled before, ``abandoned`` gets the result. Work whose future is
        cancelled before its turn comes is not done.

        :raises Overloaded: too much is waiting
        :raises StoreUnavailable: the writer is closed
        """
        if self._closing:
            raise StoreUnavailable("The database is closed.")
        if self._waiting >= MAX_WAITING:
            raise Overloaded("Too many writes are waiting for the database.")
        self._waiting += 1
        write = _Write(work, self._loop.create_future(), abandoned)
        self._queue.put(write)
        return write.caller

    async def close(self) -> None:
        """Finish what was submitted, and end."""
        self._closing = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        # What the thread settled last is delivered by the loop's next round.
        await asyncio.sleep(0)

    def _run(self) -> None:
        while batch := self._next_batch():
            self._commit(batch)
            # The loop may be gone before us when its program ends in disorder.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._deliver, batch)
        self._disconnect()

    def _next_batch(self) -> list[_Write[Any]]:
        batch: list[_Write[Any]] = []
        write = self._queue.get()
        with contextlib.suppress(Empty):
            while write is not None:
                batch.append(write)
                if len(batch) == self._batch:
                    return batch
                write = self._queue.get_nowait()
            if batch:
                self._queue.put(None)
        return batch

    def _commit(self, batch: Sequence[_Write[Any]]) -> None:
        try:
            connection = self._begun()
            if not _do_all(connection, batch):
                connection.rollback()
                connection = self._begun()
                for write in batch:
                    _do(connection, write)
            connection.commit()
        except Exception as error:
            self._disconnect()
            for write in batch:
                write.error = translated(error)

    def _begun(self) -> Connection:
        if self._connection is not None:
            try:
                self._connection.exec_driver_sql(self._begin)
                return self._connection
            except DBAPIError as error:
                self._disconnect()
                if not error.connection_invalidated:
                    raise
        # None yet, or the server hung up since the last batch, when nothing was under way.
        self._connection = self._connect()
        self._connection.exec_driver_sql(self._begin)
        return self._connection

    def _disconnect(self) -> None:
        """Let the connection go, and with it whatever was not committed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                connection.close()

    def _deliver(self, batch: Sequence[_Write[Any]]) -> None:
        self._waiting -= len(batch)
        for write in batch:
            write.deliver()


def _do_all(connection: Connection, batch: Sequence[_Write[Any]]) -> bool:
    """Do all without savepoints, which are two more statements each; tell whether nothing failed."""
    try:
        for write in batch:
            if write.caller.cancelled():
                write.error = asyncio.CancelledError()
            else:
                write.result = write.work(connection)
    except Exception:
        return False
    return True


def _do(connection: Connection, write: _Write[Any]) -> None:
    if write.caller.cancelled():
        write.error = asyncio.CancelledError()
        return
    connection.exec_driver_sql("SAVEPOINT work")
    try:
        write.result = write.work(connection)
    except Exception as error:
        write.error = translated(error)
        _undo(connection, error)
    connection.exec_driver_sql("RELEASE SAVEPOINT work")


def _undo(connection: Connection, failure: Exception) -> None:
    try:
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT work")
    except SQLAlchemyError as error:
        # The database gave the whole transaction up; the first failure says why.
        raise (failure if isinstance(failure, SQLAlchemyError) else error) from None
