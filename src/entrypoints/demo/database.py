"""One SQLite file for what the demo services keep, used from their threads."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TypeAlias

from encola.domain.errors import InvalidSettings

Value: TypeAlias = str | int | float | None


class DemoDatabase:
    """A connection that threads take turns at.

    :raises InvalidSettings: the file cannot be opened or written
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
        except (OSError, sqlite3.Error) as error:
            raise InvalidSettings(f"The demo services cannot keep their data in {path}: {error}") from error
        self._turn = Lock()

    def define(self, schema: str) -> None:
        """Create what is missing."""
        with self._turn:
            self._connection.executescript(schema)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all or nothing."""
        with self._turn:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[sqlite3.Row]:
        """Return what a query finds."""
        with self._turn:
            return self._connection.execute(sql, values).fetchall()

    def close(self) -> None:
        """Let the file go; afterwards nothing works."""
        with self._turn:
            self._connection.close()
