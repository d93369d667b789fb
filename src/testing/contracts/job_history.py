"""What every history promises."""

import asyncio

import pytest

from encola.application.ports import JobHistory
from encola.domain.context import JobId
from encola.domain.event import JobEvent, announce
from encola.testing.builders import ACME, GLOBEX, a_job, a_life, after, an_event, an_id


def events_of(number: int) -> list[JobEvent]:
    """Return the events of a whole life, at noon and one, two and three seconds later."""
    return [announce(job) for job in a_life(a_job(number))]


class JobHistoryContract:
    """The promise of :class:`~encola.application.ports.JobHistory`. Subclass it and give ``history``."""

    @pytest.fixture
    def history(self) -> JobHistory:
        """Return an empty history."""
        raise NotImplementedError("return an empty history")

    async def test_recorded_events_are_read_back_as_they_were(self, history: JobHistory) -> None:
        await history.record([*events_of(1), *events_of(2)])

        assert list(await history.events(ACME, an_id(1))) == events_of(1)

    async def test_events_come_by_number_however_they_were_recorded(self, history: JobHistory) -> None:
        for event in reversed(events_of(1)):
            await history.record([event])

        assert list(await history.events(ACME, an_id(1))) == events_of(1)

    async def test_an_event_recorded_twice_is_kept_once(self, history: JobHistory) -> None:
        await history.record(events_of(1)[:3])
        await history.record(events_of(1))
        await history.record([*events_of(1), *events_of(1)])

        assert list(await history.events(ACME, an_id(1))) == events_of(1)

    async def test_an_event_recorded_by_many_at_once_is_kept_once(self, history: JobHistory) -> None:
        await asyncio.gather(*(history.record(events_of(1)) for _ in range(10)))

        assert list(await history.events(ACME, an_id(1))) == events_of(1)

    async def test_another_epoch_is_another_event(self, history: JobHistory) -> None:
        await history.record([an_event(1, epoch="one"), an_event(1, epoch="two")])

        assert {event.epoch for event in await history.events(ACME, an_id(1))} == {"one", "two"}

    async def test_recording_nothing_does_nothing(self, history: JobHistory) -> None:
        await history.record([])

    async def test_an_unknown_or_foreign_job_has_no_events(self, history: JobHistory) -> None:
        await history.record(events_of(1))

        assert list(await history.events(ACME, an_id(2))) == []
        assert list(await history.events(ACME, JobId("nonsense"))) == []
        assert list(await history.events(GLOBEX, an_id(1))) == []

    async def test_only_what_is_older_is_forgotten(self, history: JobHistory) -> None:
        await history.record(events_of(1))

        assert await history.forget(after(0), limit=10) == 0
        assert await history.forget(after(2), limit=10) == 2
        assert [event.seq for event in await history.events(ACME, an_id(1))] == [3, 4]

    async def test_forgetting_stops_at_the_limit(self, history: JobHistory) -> None:
        await history.record([*events_of(1), *events_of(2)])

        assert [await history.forget(after(99), limit=3) for _ in range(4)] == [3, 3, 2, 0]
        assert list(await history.events(ACME, an_id(1))) == []
