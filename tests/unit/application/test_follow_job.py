"""Watching a job: every event once, in order, up to the end."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from house import House, within
from hypothesis import given, settings
from hypothesis import strategies as st

from encola.adapters.memory import InMemoryJobStore, InProcessNotifier, MemoryState
from encola.application.follow_job import FollowJob, Since
from encola.application.job_context import JobContext
from encola.application.ports import Announcement
from encola.domain.context import JobId, TenantId
from encola.domain.errors import JobNotFound, StoreUnavailable
from encola.domain.event import JobEvent
from encola.domain.job import Job
from encola.domain.json_value import JSON
from encola.domain.output import OutputChunk
from encola.testing.builders import ACME, GLOBEX, LEASE, a_chunk, a_life, a_long_life, after

START = Since(seq=0)
SOON = timedelta(milliseconds=20)


class Mute(InProcessNotifier):
    """A notifier whose announcements all get lost."""

    async def publish(self, announcement: Announcement) -> None: ...


def seqs(announcements: list[Announcement]) -> list[int]:
    return [each.seq for each in announcements if isinstance(each, JobEvent)]


def chunks(announcements: list[Announcement]) -> list[tuple[int, int, str]]:
    return [(each.attempt, each.offset, each.text) for each in announcements if isinstance(each, OutputChunk)]


async def work(ctx: JobContext, params: JSON) -> JSON:
    await ctx.progress(1, 2)
    return params


@pytest.fixture
def house(house: House) -> House:
    house.handle(work)
    return house


async def a_job_in(house: House) -> list[Job]:
    """Keep the first version of a job and return its whole life."""
    return a_life(await house.submit())


async def live(house: House, versions: list[Job]) -> None:
    for job in versions:
        await house.store.save(job)


async def test_who_watches_before_the_start_sees_all(house: House) -> None:
    job = await house.submit("x")
    watching = asyncio.create_task(house.watch(job, START))
    await asyncio.sleep(0)
    await house.run_job(job)

    seen = await within(watching)
    assert seqs(seen) == [1, 2, 3, 4]
    assert seen == await house.events(job)


@pytest.mark.parametrize("lived", [1, 2, 3, 4])
@pytest.mark.parametrize("since", [None, 0, 1, 2, 3])
async def test_whenever_one_comes_the_end_is_seen_exactly_once(
    house: House, lived: int, since: int | None
) -> None:
    life = await a_job_in(house)
    await live(house, life[1:lived])
    known = since is not None and since <= lived

    watching = asyncio.create_task(house.watch(life[0], None if since is None else Since(seq=since)))
    for _ in range(5):
        await asyncio.sleep(0)
    await live(house, life[lived:])

    expected = list(range(since + 1, 5)) if known and since is not None else list(range(lived, 5))
    assert seqs(await within(watching)) == expected


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=4, max_size=4), st.integers(1, 6), st.sampled_from([None, 0, 1]))
async def test_no_interleaving_loses_or_doubles_an_event(
    pauses: list[int], buffer: int, since: int | None
) -> None:
    house = House(buffer=buffer)
    house.handle(work)
    life = a_long_life(await house.submit(), 20)
    life.append(life[-1].completed("done", after(100)))

    async def live_with_pauses() -> None:
        for n, job in enumerate(life[1:]):
            await house.store.save(job)
            for _ in range(pauses[n % len(pauses)]):
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(live_with_pauses())
        watching = group.create_task(house.watch(life[0], None if since is None else Since(seq=since)))

    seen = seqs(watching.result())
    assert seen == list(range(seen[0], 22))
    assert since is None or seen[0] == since + 1


async def test_seed_15_who_comes_after_the_end_sees_the_end_and_leaves(house: House) -> None:
    job = await house.run("x")

    assert seqs(await house.watch(job)) == [4]
    assert seqs(await house.watch(job, START)) == [1, 2, 3, 4]
    assert seqs(await house.watch(job, Since(seq=3, epoch=job.epoch))) == [4]


async def test_who_has_seen_the_end_is_sent_nothing(house: House) -> None:
    job = await house.run("x")

    assert await house.watch(job, Since(seq=4, epoch=job.epoch)) == []


@pytest.mark.parametrize("since", [Since(seq=2, epoch="other"), Since(seq=99), Since(seq=99, epoch="other")])
async def test_who_knows_another_stream_starts_from_the_present_state(house: House, since: Since) -> None:
    job = await house.run("x")

    assert seqs(await house.watch(job, since)) == [4]


async def test_what_is_no_longer_kept_whole_is_replaced_by_the_present_state(house: House) -> None:
    life = a_long_life(await house.submit(), 1100)
    await live(house, [*life[1:], life[-1].completed("done", after(9999))])

    assert seqs(await house.watch(life[0], START)) == [1101]
    assert seqs(await house.watch(life[0], Since(seq=50))) == [1101]
    assert seqs(await house.watch(life[0], Since(seq=200))) == list(range(201, 1102))


async def test_a_watcher_too_slow_for_its_buffer_misses_nothing() -> None:
    house = House(buffer=2)
    house.handle(work)
    life = a_long_life(await house.submit(), 30)
    seen: list[int] = []
    async with aclosing(house.follow_job(ACME, life[0].id, START)) as announcements:
        seen.append((await anext(announcements)).seq)  # type: ignore[union-attr]
        await live(house, [*life[1:], life[-1].completed("done", after(9999))])
        seen += [each.seq async for each in announcements if isinstance(each, JobEvent)]

    assert seen == list(range(1, 32))


async def test_announcements_that_never_come_are_made_up_for_by_reading() -> None:
    house = House()
    house.handle(work)
    mute = Mute()
    house.store._notifier = mute  # type: ignore[attr-defined]
    follow = replace(house.follow_job, notifier=mute, backstop=SOON)
    life = await a_job_in(house)

    seen = []
    async with aclosing(follow(ACME, life[0].id, START)) as announcements:
        seen.append(await anext(announcements))
        await live(house, life[1:])
        seen += await within(_rest(announcements))

    assert seqs(seen) == [1, 2, 3, 4]


async def _rest(announcements: Any) -> list[Announcement]:
    return [each async for each in announcements]


class AbsentStore(InMemoryJobStore):
    """A store that is away for the next ``absences`` readings of events, and tells when that begins."""

    def __init__(self, state: MemoryState, notifier: InProcessNotifier) -> None:
        super().__init__(state, notifier)
        self.absences = 0
        self.missed = asyncio.Event()

    async def events(self, tenant: TenantId, job_id: JobId, **page: int) -> list[JobEvent]:
        if self.absences:
            self.absences -= 1
            self.missed.set()
            raise StoreUnavailable("The store is away.")
        return await super().events(tenant, job_id, **page)


async def test_a_store_that_is_away_does_not_end_a_watch() -> None:
    house = House(store=AbsentStore)
    house.handle(work)
    store: Any = house.store
    follow = replace(house.follow_job, backstop=SOON)
    life = await a_job_in(house)
    seen = []
    async with aclosing(follow(ACME, life[0].id, START)) as announcements:
        seen.append(await anext(announcements))
        store.absences = 3
        rest = asyncio.create_task(_rest(announcements))
        await within(store.missed.wait())
        await live(house, life[1:])
        seen += await house.pass_time_until(rest)

    assert seqs(seen) == [1, 2, 3, 4]
    assert store.absences == 0


async def test_a_late_watcher_gets_the_output_so_far_as_one_piece(house: House) -> None:
    queued, running, progressed, completed = await a_job_in(house)
    await live(house, [running])
    for text, offset in [("ab", 0), ("cd", 2)]:
        await house.outputs.append(a_chunk(running, text, offset=offset))

    watching = asyncio.create_task(house.watch(queued))
    for _ in range(10):
        await asyncio.sleep(0)
    await house.outputs.append(a_chunk(running, "ef", offset=4))
    await live(house, [progressed, completed])

    assert chunks(await within(watching)) == [(1, 0, "abcd"), (1, 4, "ef")]


async def test_the_output_of_a_new_attempt_starts_anew(house: House) -> None:
    queued, running, *_ = await a_job_in(house)
    await live(house, [running])
    watching = asyncio.create_task(house.watch(queued, START))
    for _ in range(10):
        await asyncio.sleep(0)
    await house.outputs.append(a_chunk(running, "dead"))
    lost = running.lost(after(40))
    second = lost.claimed(after(41), LEASE)
    await live(house, [lost, second])
    await house.outputs.append(a_chunk(second, "new"))
    await live(house, [second.completed("x", after(42))])

    seen = await within(watching)
    assert chunks(seen) == [(1, 0, "dead"), (2, 0, "new")]
    assert seqs(seen) == [1, 2, 3, 4, 5]


async def test_output_that_was_lost_on_the_way_is_read_again() -> None:
    house = House(buffer=2)
    house.handle(work)
    queued, running, progressed, completed = await a_job_in(house)
    await live(house, [running])
    text = ""
    async with aclosing(house.follow_job(ACME, queued.id)) as announcements:
        await anext(announcements)
        for n in range(20):
            await house.outputs.append(a_chunk(running, str(n % 10), offset=n))
        await live(house, [progressed])
        async for each in announcements:
            if isinstance(each, OutputChunk):
                assert each.offset in (0, len(text))
                text = text[: each.offset] + each.text
            elif each.seq == progressed.seq:
                await live(house, [completed])

    assert text == "01234567890123456789"


async def test_a_job_that_ends_and_is_sent_round_again_ends_the_watch(house: House) -> None:
    job = await house.submit()
    watching = asyncio.create_task(house.watch(job, START))
    await asyncio.sleep(0)
    await house.cancel_job(ACME, job.id)
    await house.retry_job(ACME, job.id)

    assert seqs(await within(watching)) == [1, 2]


async def test_waiting_until_an_event_fits_or_the_end(house: House) -> None:
    job = await house.submit()
    follow: FollowJob = house.follow_job
    processing = asyncio.create_task(follow.until(ACME, job.id, START, lambda event: event.attempt == 1))
    never = asyncio.create_task(follow.until(ACME, job.id, None, lambda event: False))
    await asyncio.sleep(0)
    await house.run_job(job)

    await within(asyncio.gather(processing, never))


async def test_a_foreign_or_unknown_job_cannot_be_watched(house: House) -> None:
    job = await house.submit()

    for watched in (replace(job, context=replace(job.context, tenant_id=GLOBEX)), replace(job, id="x")):  # type: ignore[arg-type]
        with pytest.raises(JobNotFound):
            await house.watch(watched)
    assert house.notifier._subscriptions == {}


async def test_seed_22_who_leaves_takes_only_their_own_subscription(house: House) -> None:
    job = await house.submit()
    stays = asyncio.create_task(house.watch(job, START))
    async with aclosing(house.follow_job(ACME, job.id)) as leaves:
        await anext(leaves)
    await house.run_job(job)

    assert seqs(await within(stays)) == [1, 2, 3, 4]
    assert house.notifier._subscriptions == {}
