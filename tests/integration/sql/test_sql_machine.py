"""The state machine of a job's life against a small model, on SQLite files."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hypothesis import settings

from encola.adapters.memory import InProcessNotifier
from encola.adapters.sql import (
    SqlDatabase,
    SqlJobCatalog,
    SqlJobFeed,
    SqlJobOutputs,
    SqlJobStore,
    SqlWorkBoard,
)
from encola.testing.job_machine import job_machine
from encola.testing.stores import Stores


@asynccontextmanager
async def sqlite_stores() -> AsyncIterator[Stores]:
    with tempfile.TemporaryDirectory() as folder:
        database = SqlDatabase(f"sqlite:///{Path(folder) / 'encola.db'}", fsync=False)
        await database.open()
        notifier = InProcessNotifier()
        yield Stores(
            jobs=SqlJobStore(database, notifier),
            board=SqlWorkBoard(database),
            catalog=SqlJobCatalog(database),
            feed=SqlJobFeed(database),
            outputs=SqlJobOutputs(database, notifier),
            notifier=notifier,
        )
        await database.close()


TestSqliteStores = job_machine(sqlite_stores).TestCase
TestSqliteStores.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
