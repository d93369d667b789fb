"""What SQLite and PostgreSQL each need said in their own way."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import URL, Column, ColumnElement, Table, func
from sqlalchemy.dialects import postgresql, sqlite

from encola.domain.errors import InvalidSettings

STATEMENT_SECONDS: Final = 5
"""How long one statement, the wait for one lock, or connecting may take."""

_WAL_BYTES = 64 * 1024 * 1024
_LOCK = 0x656E636F6C61  # "encola" in ASCII

_PREPARED = Callable[[Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One kind of database.

    ``begin`` begins a transaction that writes, ``batch`` is the most writes that one should hold,
    ``prepare`` is done with each new connection of the driver, and ``interrupt``, where the database
    itself does not end what takes too long, makes the connection ask a function whether to go on.
    """

    insert: Callable[[Table], Any]
    contains: Callable[[Column[str], str], ColumnElement[bool]]
    begin: str
    batch: int
    arguments: Mapping[str, Any]
    prepare: _PREPARED
    interrupt: Callable[[Any, Callable[[], bool]], None]


def backend_for(url: URL, *, fsync: bool, max_pages: int | None) -> Backend:
    """Return the kind of database that the URL names.

    :raises InvalidSettings: it is none of those that are known, or a database in memory
    """
    driver = url.get_backend_name(), url.get_driver_name()
    if driver == ("sqlite", "pysqlite") and url.database not in (None, "", ":memory:"):
        return _sqlite(fsync, max_pages)
    if driver == ("postgresql", "psycopg"):
        return _postgresql(fsync)
    raise InvalidSettings("The database URL must begin with sqlite:/// and a file, or postgresql+psycopg://.")


def _sqlite(fsync: bool, max_pages: int | None) -> Backend:
    # FULL, not NORMAL: in WAL mode NORMAL may lose the last commits when the power goes.
    pragmas = [
        "journal_mode = WAL",
        f"synchronous = {'FULL' if fsync else 'OFF'}",
        "temp_store = MEMORY",
        f"journal_size_limit = {_WAL_BYTES}",
    ]
    if max_pages is not None:
        pragmas.append(f"max_page_count = {max_pages}")

    def prepare(connection: sqlite3.Connection) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    return Backend(
        insert=sqlite.insert,
        contains=lambda column, text: func.instr(func.lower(column), text) > 0,
        # IMMEDIATE, for a transaction that reads first could not wait for its turn to write.
        begin="BEGIN IMMEDIATE",
        batch=256,
        # Without an isolation level the driver leaves it to us when a transaction begins.
        arguments={"timeout": STATEMENT_SECONDS, "isolation_level": None},
        prepare=prepare,
        interrupt=lambda connection, is_late: connection.set_progress_handler(is_late, 100_000),
    )


def _postgresql(fsync: bool) -> Backend:
    milliseconds = STATEMENT_SECONDS * 1000
    settings = {
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds,
        "synchronous_commit": "on" if fsync else "off",
    }
    return Backend(
        insert=postgresql.insert,
        contains=lambda column, text: func.strpos(func.lower(column), text) > 0,
        # One transaction writes at a time, whatever process it is of. So positions in the feed come
        # to light in their order, and no two transactions can wait for each other's rows.
        begin=f"SELECT pg_advisory_xact_lock({_LOCK})",
        # PostgreSQL keeps 64 subtransactions in fast memory; savepoints are such.
        batch=60,
        arguments={
            "connect_timeout": STATEMENT_SECONDS,
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        },
        prepare=lambda connection: None,
        interrupt=lambda connection, is_late: None,
    )
