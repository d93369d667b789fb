"""What every job feed promises."""

import asyncio
from collections.abc import Sequence

import pytest

from encola.application.ports import FeedEntry
from encola.domain.context import JobId
from encola.domain.errors import JobChanged
from encola.domain.event import announce
from encola.testing.builders import ACME, GLOBEX, a_job, a_life, after
from encola.testing.contracts.steps import keep
from encola.testing.stores import Stores


def places(entries: Sequence[FeedEntry]) -> list[tuple[JobId, int]]:
    """Return job and ``seq`` of each entry."""
    return [(entry.event.job_id, entry.event.seq) for entry in entries]


async def follow(stores: Stores, consumer: str, *, limit: int) -> list[FeedEntry]:
    """Read and acknowledge until nothing is left; return everything read."""
    entries: list[FeedEntry] = []
    while page := await stores.feed.read(consumer, limit=limit):
        entries += page
        await stores.feed.acknowledge(consumer, page[-1].position)
    return entries


class JobFeedContract:
    """The promise of :class:`~encola.application.ports.JobFeed`. Subclass it and give ``stores``."""

    @pytest.fixture
    def stores(self) -> Stores:
        """Return empty stores."""
        raise NotImplementedError("return empty stores")

    async def test_an_empty_feed_reads_empty(self, stores: Stores) -> None:
        assert list(await stores.feed.read("history", limit=10)) == []

    async def test_events_come_in_the_order_of_their_writing(self, stores: Stores) -> None:
        first, second = a_life(a_job(1)), a_life(a_job(2, tenant=GLOBEX))
        written = [job for pair in zip(first, second, strict=True) for job in pair]
        await stores.jobs.add(written[0])
        await stores.jobs.add(written[1])
        for job in written[2:]:
            await stores.jobs.save(job)

        entries = await stores.feed.read("history", limit=100)

        positions = [entry.position for entry in entries]
        assert [entry.event for entry in entries] == [announce(job) for job in written]
        assert positions == sorted(set(positions))

    async def test_reading_again_returns_the_same_until_it_is_acknowledged(self, stores: Stores) -> None:
        await keep(stores, *a_life(a_job()))

        first, second = [await stores.feed.read("history", limit=2) for _ in range(2)]
        await stores.feed.acknowledge("history", first[0].position)

        assert list(first) == list(second)
        assert places(await stores.feed.read("history", limit=2)) == [(a_job().id, 2), (a_job().id, 3)]

    async def test_every_consumer_has_its_own_pace(self, stores: Stores) -> None:
        await keep(stores, *a_life(a_job()))

        assert len(await follow(stores, "fast", limit=3)) == 4
        assert list(await stores.feed.read("fast", limit=10)) == []
        assert len(await stores.feed.read("slow", limit=10)) == 4

    async def test_an_acknowledgement_never_goes_back(self, stores: Stores) -> None:
        await keep(stores, *a_life(a_job()))
        entries = await stores.feed.read("history", limit=10)

        await stores.feed.acknowledge("history", entries[2].position)
        await stores.feed.acknowledge("history", entries[0].position)
        await stores.feed.acknowledge("history", 0)

        assert list(await stores.feed.read("history", limit=10)) == [entries[3]]

    async def test_of_concurrent_acknowledgements_the_highest_stands(self, stores: Stores) -> None:
        await keep(stores, *a_life(a_job()))
        entries = await stores.feed.read("history", limit=10)
        positions = [entry.position for entry in entries[:3]]

        await asyncio.gather(*(stores.feed.acknowledge("history", position) for position in positions))

        assert list(await stores.feed.read("history", limit=10)) == [entries[3]]

    async def test_what_is_written_later_follows_what_was_acknowledged(self, stores: Stores) -> None:
        await keep(stores, *a_life(a_job(1)))
        await follow(stores, "history", limit=10)

        await stores.jobs.add(a_job(2))

        assert places(await stores.feed.read("history", limit=10)) == [(a_job(2).id, 1)]

    async def test_an_event_is_in_the_feed_exactly_when_its_state_is_stored(self, stores: Stores) -> None:
        job = await keep(stores, *a_life(a_job()))
        with pytest.raises(JobChanged):
            await stores.jobs.save(a_job().cancelled(after(1)))
        await stores.jobs.add(a_job())

        entries = await stores.feed.read("history", limit=100)

        assert [entry.event for entry in entries] == await stores.jobs.events(ACME, job.id)

    async def test_nothing_is_skipped_while_many_write(self, stores: Stores) -> None:
        lives = [a_life(a_job(number)) for number in range(10)]

        writing = asyncio.gather(*(keep(stores, *life) for life in lives))
        seen = []
        while not writing.done():
            seen += await follow(stores, "history", limit=3)
            await asyncio.sleep(0)
        await writing
        seen += await follow(stores, "history", limit=3)

        for life in lives:
            events = [entry.event for entry in seen if entry.event.job_id == life[0].id]
            assert events == [announce(job) for job in life]
