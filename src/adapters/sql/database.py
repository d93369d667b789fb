"""One database: opening it, writing to it in one thread and reading it in a few."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import (
    URL,
    Column,
    ColumnElement,
    Connection,
    Engine,
    NullPool,
    Table,
    create_engine,
    event,
    insert,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from encola.adapters.sql.backends import Backend, backend_for
from encola.adapters.sql.failures import too_slow
from encola.adapters.sql.readers import Readers
from encola.adapters.sql.tables import SCHEMA_VERSION, meta, metadata
from encola.adapters.sql.writer import GroupCommitWriter
from encola.domain.errors import InvalidSettings, StoreUnavailable

T = TypeVar("T")

CALL_SECONDS: Final = 15
"""How long a caller waits for a write or a read, all queueing included."""

READ_SECONDS: Final = 10
"""How long the work of one read may take."""

READERS: Final = 4


@dataclass(frozen=True, slots=True)
class _Opened:
    engine: Engine
    writer: GroupCommitWriter
    readers: Readers


class SqlDatabase:
    """A database that the adapters of this package share; open it on the loop that will use it.

    ``url`` is SQLAlchemy's: ``sqlite:///`` and the path of a file, or ``postgresql+psycopg://…``.
    Without ``fsync`` a power failure may lose the last writes, or on SQLite the file. ``max_pages``
    bounds the size of an SQLite file, as a full disk does.

    :raises InvalidSettings: the URL is none of these
    """

    def __init__(self, url: str, *, fsync: bool = True, max_pages: int | None = None) -> None:
        self._url = _parsed(url)
        self._backend: Backend = backend_for(self._url, fsync=fsync, max_pages=max_pages)
        self._opened: _Opened | None = None

    async def open(self) -> None:
        """Connect, and create the tables where there are none; a no-op when open.

        :raises InvalidSettings: a newer Encola wrote this database
        :raises StoreUnavailable: it cannot be opened
        """
        if self._opened is not None:
            return
        engine = self._engine()
        writer = GroupCommitWriter(engine.connect, begin=self._backend.begin, batch=self._backend.batch)
        readers = Readers(self._reader, threads=READERS, seconds=READ_SECONDS)
        self._opened = _Opened(engine, writer, readers)
        try:
            await self.write(_create_schema)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish the writes that were begun, and disconnect; a no-op when closed."""
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.writer.close()
            await opened.readers.close()
            opened.engine.dispose()

    async def check(self) -> None:
        """Return if the database answers.

        :raises StoreUnavailable: it does not
        """
        await self.read(lambda connection: connection.execute(select(1)).all())

    async def write(
        self, work: Callable[[Connection], T], *, abandoned: Callable[[T], None] | None = None
    ) -> T:
        """Run ``work`` in the writer's thread and return its result once it is committed.

        Whatever it raises undoes all that it did, and is raised here. Should the caller be cancelled,
        the work may still be done; ``abandoned`` then gets its result, on the loop.

        :raises StoreUnavailable: the database cannot answer now
        :raises Overloaded: too many writes are waiting
        """
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await self._open.writer.submit(work, abandoned)
        except TimeoutError:
            raise too_slow() from None

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work``, which only reads, in another thread and return its result.

        It sees every write that was answered before. Each statement stands alone: what two of them
        return may differ by what was written in between.

        :raises StoreUnavailable: the database cannot answer now
        :raises Overloaded: too many reads are waiting
        """
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await self._open.readers.run(work)
        except TimeoutError:
            raise too_slow() from None

    def insert(self, table: Table) -> Any:
        """Return an INSERT that knows ``ON CONFLICT``: standard SQL has no such thing."""
        return self._backend.insert(table)

    def contains(self, column: Column[str], text: str) -> ColumnElement[bool]:
        """Return the condition that ``text``, in lower case, stands in the column in whatever case.

        Only the letters of ASCII have cases here.
        """
        return self._backend.contains(column, text)

    @property
    def _open(self) -> _Opened:
        if self._opened is None:
            raise StoreUnavailable("The database is closed.")
        return self._opened

    def _engine(self) -> Engine:
        try:
            engine = create_engine(
                self._url,
                # Each thread keeps the connection that it opened.
                poolclass=NullPool,
                hide_parameters=True,
                connect_args=dict(self._backend.arguments),
            )
        except ModuleNotFoundError as error:
            raise InvalidSettings("PostgreSQL needs another package: install encola[postgresql].") from error
        prepare = self._backend.prepare
        event.listen(engine, "connect", lambda connection, record: prepare(connection))
        return engine

    def _reader(self) -> Connection:
        opened = self._open
        connection = opened.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._backend.interrupt(connection.connection.driver_connection, opened.readers.is_late)
        return connection


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError):
        # The URL may hold a password, so neither it nor what cites it is shown.
        raise InvalidSettings("The database URL cannot be understood.") from None
    return parsed


def _create_schema(connection: Connection) -> None:
    metadata.create_all(connection)
    version = connection.scalar(select(meta.c.value).where(meta.c.name == "schema"))
    if version is None:
        connection.execute(insert(meta).values(name="schema", value=str(SCHEMA_VERSION)))
    elif int(version) > SCHEMA_VERSION:
        raise InvalidSettings(
            f"A newer Encola wrote this database (schema {version}, this one knows {SCHEMA_VERSION});"
            " run that version, or use another database."
        )
