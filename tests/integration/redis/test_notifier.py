"""Announcements over a real Redis, also while it is killed, paused and cut."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from redis import Redis
from redis_clusters import start_cluster

from encola.adapters.redis import RedisLinks, RedisNotifier, subscriber
from encola.adapters.redis.announcements import pack
from encola.application.ports import Announcement, Subscription
from encola.domain.context import TenantId
from encola.domain.errors import StoreUnavailable
from encola.domain.event import JobEvent
from encola.testing.builders import ACME, GLOBEX, a_job, an_event
from encola.testing.contracts import NotifierContract
from encola.testing.contracts.steps import hear
from encola.testing.servers import RedisServer

JOB = a_job().id
PATIENCE = 30.0
"""Seconds after which what was to happen has not."""


@asynccontextmanager
async def notifying(url: str, shards: int = 1) -> AsyncIterator[RedisNotifier]:
    """Open a notifier with connections of its own, as another process would have."""
    links = RedisLinks(url, shards)
    notifier = RedisNotifier(links)
    await links.open()
    await notifier.open()
    try:
        yield notifier
    finally:
        await notifier.close()
        await links.close()


async def published(notifier: RedisNotifier, announcement: Announcement) -> None:
    """Publish as soon as Redis is there."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(StoreUnavailable):
                return await notifier.publish(announcement)


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds, or fail the test when it never does."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


async def lose_and_regain(subscription: Subscription) -> None:
    """Be told of a cut, and of its end."""
    assert await hear(subscription) is None
    assert await hear(subscription) is None


def cut_the_listeners(server: RedisServer) -> None:
    """Let Redis close the connections on which somebody listens."""
    with Redis.from_url(server.url) as client:
        client.client_kill_filter(_type="pubsub")


@pytest.fixture
async def here(redis_url: str) -> AsyncIterator[RedisNotifier]:
    """Return the notifier of this process."""
    async with notifying(redis_url) as notifier:
        yield notifier


@pytest.fixture
async def elsewhere(redis_url: str) -> AsyncIterator[RedisNotifier]:
    """Return the notifier of another process."""
    async with notifying(redis_url) as notifier:
        yield notifier


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Return a server of the test's own, to be killed and paused."""
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[RedisServer]]:
    """Return the two nodes of a cluster."""
    nodes = start_cluster(tmp_path, 2)
    yield nodes
    for node in nodes:
        node.kill()


class TestRedisNotifier(NotifierContract):
    @pytest.fixture
    def notifier(self, here: RedisNotifier) -> RedisNotifier:
        return here


async def test_whoever_has_entered_hears_what_another_process_says_next(
    here: RedisNotifier, elsewhere: RedisNotifier
) -> None:
    for number in range(500):
        event = an_event(tenant=TenantId(f"tenant-{number}"))
        async with here.subscribe(event.tenant_id, event.job_id) as subscription:
            await elsewhere.publish(event)

            assert await hear(subscription) == event


async def test_many_who_enter_at_once_hear_what_is_said_next(
    here: RedisNotifier, elsewhere: RedisNotifier
) -> None:
    async def enter_and_hear(event: JobEvent) -> bool:
        async with here.subscribe(event.tenant_id, event.job_id) as subscription:
            await elsewhere.publish(event)
            return await hear(subscription) == event

    events = [an_event(number % 7, tenant=TenantId(f"tenant-{number % 100}")) for number in range(1_000)]

    assert all(await asyncio.gather(*map(enter_and_hear, events)))


@pytest.mark.parametrize("shards", [1, 5])
async def test_no_tenant_hears_another(redis_url: str, shards: int) -> None:
    tenants = [TenantId(f"tenant-{number}") for number in range(20)]
    async with notifying(redis_url, shards) as here, AsyncExitStack() as stack:
        watchers = [await stack.enter_async_context(here.subscribe(tenant, JOB)) for tenant in tenants]
        for seq in (1, 2):
            for tenant in reversed(tenants):
                await here.publish(an_event(tenant=tenant, seq=seq))

        heard = [[await hear(watcher) for _ in range(2)] for watcher in watchers]

    assert heard == [[an_event(tenant=tenant, seq=1), an_event(tenant=tenant, seq=2)] for tenant in tenants]


async def test_a_cut_and_its_end_are_told_and_nothing_later_is_missed(server: RedisServer) -> None:
    tenants = [ACME, GLOBEX, *(TenantId(f"tenant-{number}") for number in range(1_500))]
    async with notifying(server.url) as here, notifying(server.url) as elsewhere, AsyncExitStack() as stack:
        watchers = [await stack.enter_async_context(here.subscribe(tenant, JOB)) for tenant in tenants]

        cut_the_listeners(server)
        await asyncio.gather(*map(lose_and_regain, watchers))
        for tenant in tenants:
            await elsewhere.publish(an_event(tenant=tenant))

        assert [await hear(watcher) for watcher in watchers] == [
            an_event(tenant=tenant) for tenant in tenants
        ]


@pytest.mark.parametrize("stop", [RedisServer.stop, RedisServer.kill])
async def test_after_a_restart_everything_is_heard(
    server: RedisServer, stop: Callable[[RedisServer], None]
) -> None:
    async with notifying(server.url) as here, notifying(server.url) as elsewhere, AsyncExitStack() as stack:
        watchers = [
            await stack.enter_async_context(here.subscribe(tenant, JOB))
            for tenant in (ACME, GLOBEX)
            for _ in range(3)
        ]

        await asyncio.to_thread(stop, server)
        assert [await hear(watcher) for watcher in watchers] == [None] * 6
        await asyncio.to_thread(server.start)
        assert [await hear(watcher) for watcher in watchers] == [None] * 6
        await published(elsewhere, an_event())
        await published(elsewhere, an_event(tenant=GLOBEX))

        assert [await hear(watcher) for watcher in watchers] == [an_event()] * 3 + [
            an_event(tenant=GLOBEX)
        ] * 3


async def test_no_gap_is_left_unsaid_while_redis_falls_and_listeners_are_cut(server: RedisServer) -> None:
    heard: list[Announcement | None] = []
    async with (
        notifying(server.url) as here,
        notifying(server.url) as elsewhere,
        here.subscribe(ACME, JOB) as subscription,
    ):
        listening = asyncio.create_task(listen(subscription, heard))
        talking = asyncio.create_task(talk(elsewhere, listening))
        for trouble in (cut, fall, cut, fall):
            await until(partial(is_longer, heard, len(heard) + 100))
            await trouble(server)
        await until(partial(is_longer, heard, len(heard) + 100))
        listening.cancel()
        await talking

    assert heard.count(None) >= 4
    assert gaps_unsaid(heard) == []


async def listen(subscription: Subscription, heard: list[Announcement | None]) -> None:
    """Hear everything."""
    while True:
        heard.append(await subscription.receive())


async def talk(notifier: RedisNotifier, listening: asyncio.Task[None]) -> None:
    """Publish one event after the other for as long as somebody listens."""
    for seq in count(1):
        if listening.done():
            break
        await published(notifier, an_event(seq=seq))
        await asyncio.sleep(0.001)


def is_longer(heard: list[Announcement | None], length: int) -> bool:
    """Tell whether more than so many were heard."""
    return len(heard) > length


async def cut(server: RedisServer) -> None:
    """Cut the connections that listen."""
    cut_the_listeners(server)


async def fall(server: RedisServer) -> None:
    """Kill the server and start it again."""
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


def gaps_unsaid(heard: list[Announcement | None]) -> list[tuple[int, int]]:
    """Return the places where events are missing and nothing says so."""
    gaps, last, is_told = [], 0, True
    for announcement in heard:
        if announcement is None:
            is_told = True
        elif isinstance(announcement, JobEvent):
            if announcement.seq != last + 1 and not is_told:
                gaps.append((last, announcement.seq))
            last, is_told = announcement.seq, False
    return gaps


async def test_a_redis_that_says_nothing_is_noticed(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "SILENCE_SECONDS", 0.5)
    async with notifying(server.url) as here, here.subscribe(ACME, JOB) as subscription:
        server.pause()
        async with asyncio.timeout(2 * 0.5 + 2):
            assert await subscription.receive() is None

        server.resume()
        assert await hear(subscription) is None
        await published(here, an_event())
        assert await hear(subscription) == an_event()


async def test_a_quiet_connection_is_kept(here: RedisNotifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriber, "SILENCE_SECONDS", 0.5)
    async with here.subscribe(ACME, JOB) as subscription:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await subscription.receive()


@pytest.mark.parametrize("trouble", [RedisServer.kill, RedisServer.pause])
async def test_without_redis_nobody_can_enter(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, trouble: Callable[[RedisServer], None]
) -> None:
    monkeypatch.setattr(subscriber, "CONFIRM_SECONDS", 0.5)
    async with notifying(server.url) as here:
        await published(here, an_event())
        trouble(server)

        async with asyncio.timeout(0.5 + 2):
            with pytest.raises(StoreUnavailable):
                await here.subscribe(ACME, JOB).__aenter__()

    assert here._watched == {}


async def test_without_redis_nobody_can_join_those_who_entered_before(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "CONFIRM_SECONDS", 0.2)
    async with notifying(server.url) as here, here.subscribe(ACME, JOB) as subscription:
        server.kill()
        assert await hear(subscription) is None

        with pytest.raises(StoreUnavailable):
            await here.subscribe(ACME, JOB).__aenter__()


async def test_whoever_waits_to_enter_does_so_when_redis_is_back(server: RedisServer) -> None:
    async with notifying(server.url) as here, AsyncExitStack() as stack:
        await published(here, an_event())
        server.kill()
        entering = asyncio.create_task(stack.enter_async_context(here.subscribe(ACME, JOB)))
        await asyncio.sleep(0)

        await asyncio.to_thread(server.start)
        subscription = await entering

        await published(here, an_event(seq=2))
        assert await hear(subscription) == an_event(seq=2)


async def test_a_redis_that_still_loads_its_data_counts_as_away(tmp_path: Path) -> None:
    slowly = {"key-load-delay": "1000", "loading-process-events-interval-bytes": "1024"}
    with RedisServer(tmp_path / "redis", options=slowly) as server:
        with Redis.from_url(server.url) as client:
            client.mset({f"key-{number}": "x" * 100 for number in range(1_000)})
            client.bgrewriteaof()
            await until(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0)
        async with notifying(server.url) as here, here.subscribe(ACME, JOB) as subscription:
            await asyncio.to_thread(server.stop)
            assert await hear(subscription) is None
            starting = asyncio.create_task(asyncio.to_thread(server.start))
            async with here.subscribe(GLOBEX, JOB) as other:
                assert await hear(subscription) is None
                await starting
                await published(here, an_event())
                await published(here, an_event(tenant=GLOBEX))

                assert await hear(subscription) == an_event()
                assert await hear(other) == an_event(tenant=GLOBEX)


async def test_one_that_gives_up_to_enter_leaves_nothing_behind(server: RedisServer) -> None:
    async with notifying(server.url) as here:
        server.kill()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await here.subscribe(ACME, JOB).__aenter__()

        assert here._watched == {}
        assert [channel.holders for channel in channels(here)] == [0]


async def test_what_nobody_can_read_is_dropped_told_and_logged(
    here: RedisNotifier, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = pack(an_event()).encode()
    broken = [
        b"",
        whole[:36],
        whole[:37],
        whole[:40],
        JOB.encode() + b"O{}",
        JOB.encode() + b"O3",
        whole[:36] + b"X\xff",
    ]
    async with here.subscribe(ACME, JOB) as subscription:
        with Redis.from_url(redis_url) as client:
            for data in broken:
                client.publish("encola:{0}:acme:live", data)
        await here.publish(an_event())

        heard = [await hear(subscription)]
        while heard[-1] is None:
            heard.append(await hear(subscription))

    assert heard[-1] == an_event()
    assert None in heard
    assert [record.args[1] for record in caplog.records if record.args] == [1, 2, 4]  # type: ignore[index]


async def test_short_visits_cost_one_subscription(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "LINGER_SECONDS", 0.3)
    async with notifying(server.url) as here:
        with Redis.from_url(server.url) as client:
            for number in range(100):
                async with here.subscribe(ACME, a_job(number).id):
                    pass
                await asyncio.sleep(0.001)

            assert client.info("commandstats")["cmdstat_subscribe"]["calls"] == 1
            await until(lambda: client.pubsub_channels() == [])
        assert channels(here) == []
        assert here._watched == {}


async def test_a_visit_while_another_one_lingers_is_not_cut_short(
    here: RedisNotifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "LINGER_SECONDS", 0.01)
    for seq in range(1, 201):
        async with here.subscribe(ACME, JOB) as subscription:
            await here.publish(an_event(seq=seq))
            assert await hear(subscription) == an_event(seq=seq)
        await asyncio.sleep(random.uniform(0.005, 0.015))


async def test_an_interest_given_up_while_redis_is_silent_ends_when_it_speaks(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "LINGER_SECONDS", 0.05)
    async with notifying(server.url) as here, here.subscribe(ACME, JOB):
        server.pause()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await here.subscribe(GLOBEX, JOB).__aenter__()
        assert len(channels(here)) == 2

        server.resume()
        await until(lambda: len(channels(here)) == 1)
        with Redis.from_url(server.url) as client:
            await until(lambda: client.pubsub_channels() == [b"encola:{0}:acme:live"])


async def test_a_tenant_that_nobody_watches_is_not_taken_up_again_after_a_cut(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "LINGER_SECONDS", 0.01)
    async with notifying(server.url) as here, here.subscribe(ACME, JOB) as stays:
        async with here.subscribe(GLOBEX, JOB):
            pass
        await until(lambda: len(channels(here)) == 1)

        cut_the_listeners(server)
        await lose_and_regain(stays)

        with Redis.from_url(server.url) as client:
            assert client.pubsub_channels() == [b"encola:{0}:acme:live"]


async def test_announcements_pass_between_the_nodes_of_a_cluster(cluster: list[RedisServer]) -> None:
    tenants = [TenantId(f"tenant-{number}") for number in range(20)]
    async with (
        notifying(cluster[0].url, shards=8) as here,
        notifying(cluster[1].url, shards=8) as elsewhere,
    ):
        for tenant in tenants:
            async with here.subscribe(tenant, JOB) as subscription:
                await elsewhere.publish(an_event(tenant=tenant))

                assert await hear(subscription) == an_event(tenant=tenant)


async def test_a_closed_notifier_leaves_no_connection(server: RedisServer) -> None:
    with Redis.from_url(server.url) as client:
        async with notifying(server.url) as here, here.subscribe(ACME, JOB):
            assert len(client.client_list()) == 3

        await until(lambda: len(client.client_list()) == 1)


async def test_a_notifier_can_be_closed_while_redis_is_away(server: RedisServer) -> None:
    async with notifying(server.url) as here:
        await published(here, an_event())
        server.pause()
        async with asyncio.timeout(2):
            await here.close()


def channels(notifier: RedisNotifier) -> list[subscriber._Channel]:
    """Return the channels that the notifier listens to."""
    [listening] = notifier._subscribers.values()
    return list(listening._channels.values())
