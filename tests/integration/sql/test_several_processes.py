import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from postgresql import PrivatePostgresql
from sql_notes import create_notes, note, noted

from encola.adapters.memory import InProcessNotifier
from encola.adapters.sql import SqlDatabase, SqlJobFeed, SqlJobStore, SqlWorkBoard
from encola.domain.errors import StoreUnavailable
from encola.testing.builders import a_job, after


@pytest.fixture
async def databases(postgresql: PrivatePostgresql) -> AsyncIterator[list[SqlDatabase]]:
    """Return one PostgreSQL as three processes see it."""
    postgresql.empty()
    databases = [SqlDatabase(postgresql.url, fsync=False) for _ in range(3)]
    # Opened at once: each may be the one that creates the tables.
    await asyncio.gather(*(database.open() for database in databases))
    yield databases
    for database in databases:
        await database.close()


async def test_no_job_is_taken_by_two_processes(databases: list[SqlDatabase]) -> None:
    store = SqlJobStore(databases[0], InProcessNotifier())
    jobs = [a_job(number) for number in range(60)]
    await asyncio.gather(*map(store.add, jobs))

    boards = [SqlWorkBoard(database) for database in databases] * 4
    again_at = after(3600)
    taken = await asyncio.gather(*(board.take_due(after(60), again_at=again_at, limit=7) for board in boards))

    ids = [job.id for batch in taken for job in batch]
    assert sorted(ids) == sorted(job.id for job in jobs)


async def test_the_feed_skips_nothing_while_several_processes_write(databases: list[SqlDatabase]) -> None:
    feed = SqlJobFeed(databases[0])
    seen: list[tuple[str, int]] = []

    async def live(store: SqlJobStore, number: int) -> None:
        job = await store.add(a_job(number))
        job = job.claimed(after(1), timedelta(seconds=30))
        await store.save(job)
        await store.save(job.completed(None, after(2)))

    async def follow() -> None:
        while entries := await feed.read("test", limit=50):
            seen.extend((entry.event.job_id, entry.event.seq) for entry in entries)
            await feed.acknowledge("test", entries[-1].position)

    stores = [SqlJobStore(database, InProcessNotifier()) for database in databases]
    writing = asyncio.gather(*(live(stores[number % 3], number) for number in range(150)))
    while not writing.done():
        await follow()
        await asyncio.sleep(0)
    await writing
    await follow()

    assert sorted(seen) == sorted((a_job(number).id, seq) for number in range(150) for seq in (1, 2, 3))


async def test_a_server_that_went_away_is_found_again(
    databases: list[SqlDatabase], postgresql: PrivatePostgresql
) -> None:
    database = databases[0]
    await create_notes(database)
    await database.write(lambda connection: note(connection, 1))
    assert await noted(database) == [1]

    postgresql.stop()
    try:
        for call in (database.check(), database.write(lambda connection: note(connection, 2))):
            with pytest.raises(StoreUnavailable, match=r"^The database cannot answer now\.$"):
                await call
    finally:
        postgresql.start()

    assert await database.write(lambda connection: note(connection, 3)) == 3
    assert await noted(database) == [1, 3]


async def test_a_server_that_only_restarted_is_not_even_noticed(
    databases: list[SqlDatabase], postgresql: PrivatePostgresql
) -> None:
    database = databases[0]
    await create_notes(database)
    assert await noted(database) == []

    postgresql.stop()
    postgresql.start()

    assert await noted(database) == []
    assert await database.write(lambda connection: note(connection, 1)) == 1
