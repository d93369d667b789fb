import pytest

from encola.adapters.sql import SqlDatabase, SqlJobFeed
from encola.domain.job import Job, Progress
from encola.testing.builders import ACME, LEASE, a_job, after
from encola.testing.stores import Stores

CHANGES = 2_000


async def live_long(stores: Stores) -> Job:
    job = await stores.jobs.add(a_job())
    job = job.claimed(after(1), LEASE)
    await stores.jobs.save(job)
    for current in range(CHANGES):
        job = job.progressed(Progress(current=current, total=CHANGES), after(2), LEASE)
        await stores.jobs.save(job)
    return job


@pytest.fixture
def feed(database: SqlDatabase) -> SqlJobFeed:
    return SqlJobFeed(database)


async def test_of_a_long_life_only_the_latest_events_are_kept(sql_stores: Stores) -> None:
    job = await live_long(sql_stores)

    kept = await sql_stores.jobs.events(ACME, job.id, limit=10_000)

    assert [event.seq for event in kept] == list(range(kept[0].seq, job.seq + 1))
    assert 1_000 <= len(kept) <= 1_300


async def test_events_that_a_consumer_has_not_seen_are_kept(sql_stores: Stores, feed: SqlJobFeed) -> None:
    await feed.read("slow", limit=1)

    job = await live_long(sql_stores)

    entries = await feed.read("slow", limit=10_000)
    assert [entry.event.seq for entry in entries] == list(range(1, job.seq + 1))
