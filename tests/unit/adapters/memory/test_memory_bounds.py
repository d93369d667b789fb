"""What the in-memory adapters do beyond their ports: bounds, scripts, and seeds."""

import asyncio
from datetime import timedelta

import pytest

from encola.adapters.memory import (
    InMemoryCache,
    InMemoryJobFeed,
    InMemoryJobStore,
    InProcessJobQueue,
    InProcessNotifier,
    ManualClock,
    MemoryState,
    ScriptedServiceCaller,
    SeededIds,
)
from encola.adapters.memory import state as memory_state
from encola.application.ports import Cached, IdempotencyKey
from encola.domain.context import ExecutionContext
from encola.domain.errors import Overloaded
from encola.domain.job import Job
from encola.domain.policy import policy_for
from encola.domain.service import ServiceCall
from encola.testing.builders import ACME, LEASE, a_job, a_life, after, an_event

MINUTE = timedelta(minutes=1)


async def test_a_cache_lets_the_least_recently_used_value_go() -> None:
    cache = InMemoryCache(ManualClock(), entries=2)
    await cache.put(ACME, "a", 1, ttl=MINUTE)
    await cache.put(ACME, "b", 2, ttl=MINUTE)
    await cache.get(ACME, "a")

    await cache.put(ACME, "c", 3, ttl=MINUTE)

    assert [await cache.get(ACME, key) for key in "abc"] == [Cached(1), None, Cached(3)]


async def test_a_queue_refuses_what_is_beyond_its_window() -> None:
    queue = InProcessJobQueue(window=2)
    await queue.publish(a_job(1))
    await queue.publish(a_job(2))

    with pytest.raises(Overloaded):
        await queue.publish(a_job(3))
    assert queue.capacity() == 0


async def test_publishers_at_once_do_not_overfill_a_queue() -> None:
    queue = InProcessJobQueue(window=3)

    outcomes = await asyncio.gather(*(queue.publish(a_job(n)) for n in range(9)), return_exceptions=True)

    assert outcomes.count(None) == 3
    assert queue.capacity() == 0


async def test_an_overflowing_subscription_says_so_first_and_goes_on() -> None:
    notifier = InProcessNotifier(buffer=3)
    async with notifier.subscribe(ACME, a_job().id) as subscription:
        for seq in range(1, 5):
            await notifier.publish(an_event(seq=seq))

        assert [await subscription.receive() for _ in range(2)] == [None, an_event(seq=4)]


async def test_a_subscription_that_overflows_twice_says_so_once() -> None:
    notifier = InProcessNotifier(buffer=3)
    async with notifier.subscribe(ACME, a_job().id) as subscription:
        for seq in range(1, 100):
            await notifier.publish(an_event(seq=seq))

        heard = [await subscription.receive() for _ in range(2)]
        await notifier.publish(an_event(seq=100))
        while heard[-1] != an_event(seq=100):
            heard.append(await subscription.receive())
        assert heard.count(None) == 1


async def test_a_notifier_forgets_jobs_that_nobody_watches() -> None:
    notifier = InProcessNotifier()
    async with notifier.subscribe(ACME, a_job(1).id), notifier.subscribe(ACME, a_job(1).id):
        await notifier.publish(an_event(2))
        assert len(notifier._subscriptions) == 1

    assert notifier._subscriptions == {}


async def test_a_feed_keeps_the_latest_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_state, "FEED_KEPT", 3)
    state = MemoryState()
    store, feed = InMemoryJobStore(state, InProcessNotifier()), InMemoryJobFeed(state)
    for number in range(5):
        await store.add(a_job(number))

    entries = await feed.read("slow", limit=2)

    assert [entry.event.job_id for entry in entries] == [a_job(2).id, a_job(3).id]
    assert len(state.feed) == 3


async def test_expired_keys_are_not_kept() -> None:
    state = MemoryState()
    store = InMemoryJobStore(state, InProcessNotifier())
    for number in range(10):
        key = IdempotencyKey(text=str(number), expires_at=after(number + 1))
        await store.add(a_job(number, created_at=after(number)), key)

    assert len(state._keys) == 1


async def test_a_forgotten_job_leaves_nothing_behind() -> None:
    state = MemoryState()
    first, *following = a_life(a_job())
    state.write(first)
    for job in following:
        state.write(job)

    state.remove((ACME, first.id))

    assert not any((state._records, state._events, state._ended, state.due, state.checks, state.outputs))


async def test_a_value_that_json_cannot_hold_is_not_written() -> None:
    store = InMemoryJobStore(MemoryState(), InProcessNotifier())
    running = a_job().claimed(after(1), LEASE)
    await store.add(a_job())
    await store.save(running)
    unfit: Job = running.completed({1, 2}, after(2))  # type: ignore[arg-type]

    with pytest.raises(TypeError):
        await store.save(unfit)
    assert await store.get(ACME, running.id) == running


async def test_a_manual_clock_wakes_sleepers_at_their_instant() -> None:
    clock = ManualClock()
    began, woken = clock.now(), []

    async def tick() -> None:
        for _ in range(3):
            await clock.sleep(MINUTE)
            woken.append(clock.now() - began)

    ticking = asyncio.create_task(tick())
    await clock.advance(MINUTE * 2.5)

    assert woken == [MINUTE, MINUTE * 2]
    assert clock.now() - began == MINUTE * 2.5
    await clock.advance(MINUTE)
    await ticking


def test_one_seed_gives_the_same_ids_in_every_run() -> None:
    one, same, other = SeededIds(7), SeededIds(7), SeededIds(8)

    assert [one.job_id(), one.epoch(), one.chance()] == [same.job_id(), same.epoch(), same.chance()]
    assert one.job_id() != other.job_id()


async def test_a_scripted_caller_keeps_the_calls() -> None:
    caller = ScriptedServiceCaller({("agent", "/run"): {"answer": 42}})
    call = ServiceCall(
        service="agent",
        path="/run",
        operation=policy_for("rag_query"),
        context=ExecutionContext(tenant_id=ACME),
        data={"question": "?"},
    )

    result = await caller.call(call)

    assert result["data"] == {"answer": 42}
    assert list(caller.calls) == [call]
