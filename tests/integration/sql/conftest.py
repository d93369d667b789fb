"""Databases for tests: SQLite files, and a private PostgreSQL where it is installed."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from postgresql import PrivatePostgresql, find_binaries

from encola.adapters.memory import InProcessNotifier
from encola.adapters.sql import (
    SqlDatabase,
    SqlJobCatalog,
    SqlJobFeed,
    SqlJobHistory,
    SqlJobOutputs,
    SqlJobStore,
    SqlWorkBoard,
)
from encola.testing.stores import Stores


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PrivatePostgresql]:
    """Return a running PostgreSQL that ends with the session."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed on this machine")
    server = PrivatePostgresql(binaries)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Return the URL of a file that is not there yet."""
    return f"sqlite:///{tmp_path / 'encola.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty database, of either kind."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    server: PrivatePostgresql = request.getfixturevalue("postgresql")
    server.empty()
    return server.url


@pytest.fixture
async def database(url: str) -> AsyncIterator[SqlDatabase]:
    """Return an open, empty database."""
    database = SqlDatabase(url, fsync=False)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def sql_stores(database: SqlDatabase) -> Stores:
    """Return empty stores in one database."""
    notifier = InProcessNotifier()
    return Stores(
        jobs=SqlJobStore(database, notifier),
        board=SqlWorkBoard(database),
        catalog=SqlJobCatalog(database),
        feed=SqlJobFeed(database),
        outputs=SqlJobOutputs(database, notifier),
        notifier=notifier,
    )


@pytest.fixture
def sql_history(database: SqlDatabase) -> SqlJobHistory:
    """Return an empty history."""
    return SqlJobHistory(database)
