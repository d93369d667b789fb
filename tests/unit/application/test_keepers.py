"""The use cases that keep jobs moving: dispatch, recover, relay, forget."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from house import CONSUMERS, House, within

from encola.application.job_context import JobContext
from encola.application.relay_history import RelayHistory
from encola.domain.errors import JobNotFound, StoreUnavailable
from encola.domain.event import JobEvent
from encola.domain.job import Job, JobStatus, Priority
from encola.domain.json_value import JSON
from encola.testing.builders import ACME, GLOBEX, LEASE

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


async def work(ctx: JobContext, params: JSON) -> JSON:
    return params


@pytest.fixture
def house(house: House) -> House:
    house.handle(work)
    return house


async def received(house: House) -> list[str]:
    return [
        (await within(house.queue.receive())).id for _ in range(house.queue._window - house.queue.capacity())
    ]


async def test_due_jobs_are_published_by_priority_and_then_by_age(house: House) -> None:
    low, normal, high, later = [
        await house.submit(priority=priority, delay=delay)
        for priority, delay in [
            (Priority.LOW, None),
            (Priority.NORMAL, None),
            (Priority.HIGH, None),
            (Priority.HIGH, 5 * SECOND),
        ]
    ]

    assert await house.dispatch_jobs() == 3
    assert await received(house) == [high.id, normal.id, low.id]
    assert (await house.now(later)).status is JobStatus.SCHEDULED


async def test_no_more_is_published_than_there_is_room_for() -> None:
    house = House(window=2)
    house.handle(work)
    jobs = [await house.submit(n) for n in range(5)]

    assert [await house.dispatch_jobs() for _ in range(3)] == [2, 0, 0]
    first = await received(house)
    assert await house.dispatch_jobs() == 2

    assert first + await received(house) == [job.id for job in jobs[:4]]


async def test_a_scheduled_job_is_queued_when_its_time_has_come_and_then_published(house: House) -> None:
    job = await house.submit(delay=10 * SECOND, ttl=60 * SECOND)
    await house.clock.advance(10 * SECOND)

    while await house.dispatch_jobs():
        pass

    assert await received(house) == [job.id]
    assert await house.statuses(job) == ["scheduled", "queued"]
    assert (await house.now(job)).check_at == job.expires_at


async def test_a_retry_is_published_when_it_is_due(house: House) -> None:
    job = await house.submit()
    claimed = job.claimed(house.clock.now(), LEASE)
    await house.store.save(claimed)
    await house.store.save(claimed.lost(house.clock.now()))

    await house.dispatch_jobs()

    assert await received(house) == [job.id]


async def test_a_lost_message_is_sent_again_after_patience(house: House) -> None:
    job = await house.submit()
    await house.dispatch_jobs()
    await received(house)  # and nobody ran it

    await house.clock.advance(house.fast_lane.patience - SECOND)
    assert await house.dispatch_jobs() == 0
    await house.clock.advance(SECOND)
    assert await house.dispatch_jobs() == 1

    assert await received(house) == [job.id]
    assert await house.statuses(job) == ["queued"]


async def test_what_was_claimed_is_not_sent_again(house: House) -> None:
    job = await house.submit()
    await house.dispatch_jobs()
    await house.store.save(job.claimed(house.clock.now(), LEASE))
    await house.clock.advance(house.fast_lane.patience)

    assert await house.dispatch_jobs() == 0


async def test_a_dead_workers_job_goes_to_another_attempt(house: House) -> None:
    job = await house.submit()
    await house.store.save(job.claimed(house.clock.now(), LEASE))
    nudges = house.nudges

    await house.clock.advance(LEASE - SECOND)
    assert await house.recover_jobs() == 0
    await house.clock.advance(SECOND)
    assert await house.recover_jobs() == 1
    assert house.nudges == nudges + 1

    await house.dispatch_jobs()
    await house.run_job(await within(house.queue.receive()))
    ended = await house.now(job)
    assert (ended.status, ended.attempt, ended.losses) == (JobStatus.COMPLETED, 2, 1)


@pytest.mark.parametrize(("retries", "code"), [(None, "poisoned"), (0, "worker_lost"), (2, "worker_lost")])
async def test_a_job_whose_workers_keep_dying_fails(house: House, retries: int | None, code: str) -> None:
    job = await house.submit(retries=retries)
    budget = 3 if retries is None else retries
    for _ in range(budget + 1):
        await house.store.save((await house.now(job)).claimed(house.clock.now(), LEASE))
        await house.clock.advance(LEASE)
        await house.recover_jobs()

    ended = await house.now(job)
    assert (ended.status, ended.attempt) == (JobStatus.FAILED, budget + 1)
    assert ended.error is not None
    assert ended.error.code == code
    assert house.metrics.counted("encola_jobs_finished_total", type="work", status="failed") == 1


async def test_seed_28_a_job_that_kills_its_workers_does_not_loop_for_ever(house: House) -> None:
    job = await house.submit()
    claims = 0
    while not (await house.now(job)).status.is_terminal:
        await house.store.save((await house.now(job)).claimed(house.clock.now(), LEASE))
        claims += 1
        await house.clock.advance(LEASE)
        await house.recover_jobs()

    assert claims == 4


@pytest.mark.parametrize("delay", [None, 30 * SECOND])
async def test_what_waits_beyond_its_time_to_live_expires(house: House, delay: timedelta | None) -> None:
    job = await house.submit(delay=delay, ttl=10 * SECOND)
    await house.clock.advance((delay or timedelta(0)) + 10 * SECOND)

    assert await house.recover_jobs() == 1
    assert (await house.now(job)).status is JobStatus.EXPIRED
    assert await house.recover_jobs() == 0
    assert house.metrics.counted("encola_jobs_finished_total", type="work", status="expired") == 1


async def test_seed_09_a_job_is_never_forgotten_while_it_lives(house: House) -> None:
    live = await house.submit(delay=30 * DAY)
    ended = await house.run("done")
    await acknowledge_all(house)
    await house.clock.advance(house.forget_jobs.job_retention - SECOND)
    assert await house.forget_jobs() == 0

    assert house.forget_jobs.job_retention >= 7 * DAY
    assert await house.now(ended) == ended
    await house.clock.advance(2 * SECOND)
    assert await house.forget_jobs() == 1

    with pytest.raises(JobNotFound):
        await house.now(ended)
    assert await house.now(live) == live


async def test_nothing_is_forgotten_before_every_consumer_has_seen_it(house: House) -> None:
    job = await house.run("done")
    await house.clock.advance(8 * DAY)

    assert await house.forget_jobs() == 0
    await house.relay_history()
    assert await house.forget_jobs() == 0
    await acknowledge_all(house)
    assert await house.forget_jobs() == 1

    assert [event.seq for event in await house.history.events(ACME, job.id)] == [1, 2, 3]


async def test_the_history_is_kept_longer_than_the_job_and_then_forgotten(house: House) -> None:
    job = await house.run("done")
    await house.relay_history()
    await acknowledge_all(house)
    await house.clock.advance(house.forget_jobs.history_retention + SECOND)

    assert await house.forget_jobs() == 1 + 3
    assert await house.history.events(ACME, job.id) == []


async def acknowledge_all(house: House) -> None:
    for consumer in CONSUMERS:
        for entry in await house.feed.read(consumer, limit=1000):
            await house.feed.acknowledge(consumer, entry.position)


class FickleHistory:
    """A history that is away for the next ``absences`` calls; it takes half a batch and then fails."""

    def __init__(self, house: House) -> None:
        self._history = house.history
        self.absences = 0
        self.calls: list[list[int]] = []

    async def record(self, events: Sequence[JobEvent]) -> None:
        self.calls.append([event.seq for event in events])
        if self.absences:
            self.absences -= 1
            await self._history.record(events[: len(events) // 2])
            raise StoreUnavailable("The history is away.")
        await self._history.record(events)


async def test_a_history_that_was_away_gets_everything_in_order_and_keeps_it_once(house: House) -> None:
    job = await house.run("done")
    history = FickleHistory(house)
    history.absences = 2
    relay = RelayHistory(feed=house.feed, history=history, clock=house.clock)  # type: ignore[arg-type]

    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await relay()
    assert [await relay(), await relay()] == [3, 0]

    assert history.calls == [[1, 2, 3]] * 3
    assert [event.seq for event in await house.history.events(ACME, job.id)] == [1, 2, 3]


async def test_seed_07_a_history_that_is_away_does_not_touch_the_job(house: House) -> None:
    history = FickleHistory(house)
    history.absences = 1
    relay = RelayHistory(feed=house.feed, history=history, clock=house.clock)  # type: ignore[arg-type]
    job = await house.run("done")

    with pytest.raises(StoreUnavailable):
        await relay()

    assert await house.now(job) == job
    assert job.status is JobStatus.COMPLETED


async def test_a_relay_that_settles_waits_for_a_pause(house: House) -> None:
    relay = RelayHistory(feed=house.feed, history=house.history, clock=house.clock, settle=SECOND)
    await house.run("done")
    assert await relay() == 0
    await house.clock.advance(SECOND)

    assert await relay() == 3


async def test_a_relay_that_settles_does_not_wait_for_ever(house: House) -> None:
    relay = RelayHistory(feed=house.feed, history=house.history, clock=house.clock, settle=SECOND)
    passed = []
    for _ in range(21):
        await house.submit()
        passed.append(await relay())
        await house.clock.advance(SECOND / 2)

    assert passed == [0] * 20 + [21]


async def test_the_history_keeps_tenants_apart(house: House) -> None:
    mine = await house.run("mine")
    theirs = await house.run("theirs", tenant=GLOBEX)
    await house.relay_history()

    assert await house.history.events(ACME, theirs.id) == []
    assert [event.final for event in await house.history.events(GLOBEX, theirs.id)] == [False, False, True]
    assert len(await house.history.events(ACME, mine.id)) == 3


async def test_a_job_that_changed_after_it_was_taken_is_left_to_who_changed_it(house: House) -> None:
    job = await house.submit(delay=SECOND)
    await house.clock.advance(SECOND)
    taken = house.board.take_due

    class Board:
        """A board whose jobs are cancelled right after they are taken."""

        async def take_due(self, *args: object, **options: object) -> list[Job]:
            jobs = await taken(*args, **options)  # type: ignore[arg-type]
            await house.cancel_job(ACME, job.id)
            return jobs

    object.__setattr__(house.dispatch_jobs, "board", Board())

    assert await house.dispatch_jobs() == 1
    assert await house.statuses(job) == ["scheduled", "cancelled"]
