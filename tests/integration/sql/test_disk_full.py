import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from encola.adapters.memory import InProcessNotifier
from encola.adapters.sql import SqlDatabase, SqlJobStore, SqlWorkBoard
from encola.domain.errors import JobNotFound, StoreUnavailable
from encola.domain.event import announce
from encola.domain.job import Job
from encola.testing.builders import ACME, NOON, a_job, a_life, after

PAGES = 100


@pytest.fixture
async def small(sqlite_url: str) -> AsyncIterator[SqlDatabase]:
    """Return a database that cannot grow beyond 400 KiB."""
    small = SqlDatabase(sqlite_url, fsync=False, max_pages=PAGES)
    await small.open()
    yield small
    await small.close()


def a_big_job(number: int) -> Job:
    return replace(a_job(number), params={"text": "x" * 20_000})


async def fill(store: SqlJobStore) -> list[Job]:
    """Add jobs until no more fit; return those that were accepted."""
    for number in range(1, PAGES):
        try:
            await store.add(a_big_job(number))
        except StoreUnavailable:
            return [a_big_job(earlier) for earlier in range(1, number)]
    raise AssertionError("the disk is too big")


async def test_a_full_disk_refuses_and_keeps_what_was_accepted(small: SqlDatabase, sqlite_url: str) -> None:
    store = SqlJobStore(small, InProcessNotifier())

    accepted = await fill(store)

    assert accepted
    with pytest.raises(StoreUnavailable, match=r"^The disk is full: nothing was accepted\.$"):
        await store.add(a_big_job(99))
    assert [await store.get(ACME, job.id) for job in accepted] == accepted
    await small.close()
    reopened = SqlDatabase(sqlite_url)
    await reopened.open()
    store = SqlJobStore(reopened, InProcessNotifier())
    assert [await store.get(ACME, job.id) for job in accepted] == accepted
    assert await store.add(a_big_job(99)) == a_big_job(99)
    await reopened.close()


async def test_writing_goes_on_once_there_is_room(small: SqlDatabase) -> None:
    store = SqlJobStore(small, InProcessNotifier())
    first, *following = a_life(a_big_job(99))
    await store.add(first)
    for job in following:
        await store.save(job)
    await fill(store)

    assert await SqlWorkBoard(small).forget(NOON + timedelta(days=1), limit=10) == 1

    again = a_big_job(98)
    assert await store.add(again) == again
    await store.save(again.claimed(after(1), timedelta(seconds=30)))


async def test_of_many_at_once_each_is_whole_or_not_there(small: SqlDatabase) -> None:
    store = SqlJobStore(small, InProcessNotifier())
    jobs = [a_big_job(number) for number in range(1, PAGES)]

    outcomes = await asyncio.gather(*map(store.add, jobs), return_exceptions=True)

    for job, outcome in zip(jobs, outcomes, strict=True):
        if isinstance(outcome, StoreUnavailable):
            with pytest.raises(JobNotFound):
                await store.events(ACME, job.id)
        else:
            assert outcome == job
            assert await store.events(ACME, job.id) == [announce(job)]
    assert StoreUnavailable in map(type, outcomes)
