"""The cache in a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis

from encola.adapters.redis import RedisCache, RedisLinks
from encola.application.ports import Cached
from encola.domain.errors import StoreUnavailable
from encola.testing.builders import ACME, GLOBEX
from encola.testing.contracts import CacheContract
from encola.testing.servers import RedisServer

MINUTE = timedelta(minutes=1)
MOMENT = timedelta(milliseconds=100)
PATIENCE = 10.0
"""Seconds after which what was to happen has not."""


@asynccontextmanager
async def caching(url: str, entries: int = 10_000) -> AsyncIterator[RedisCache]:
    """Open a cache with a connection of its own, as another process would have."""
    links = RedisLinks(url)
    await links.open()
    try:
        yield RedisCache(links, entries)
    finally:
        await links.close()


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[RedisCache]:
    """Return the cache of this process."""
    async with caching(redis_url) as cache:
        yield cache


@pytest.fixture
def client(redis_url: str) -> Redis:
    """Return a client that sees the keys themselves."""
    return Redis.from_url(redis_url)


class TestRedisCache(CacheContract):
    ttl = timedelta(seconds=1)

    @pytest.fixture
    def cache(self, cache: RedisCache) -> RedisCache:
        return cache

    @pytest.fixture
    def pass_time(self) -> Callable[[timedelta], Awaitable[None]]:
        async def pass_time(duration: timedelta) -> None:
            await asyncio.sleep(duration.total_seconds())

        return pass_time


async def test_processes_share_their_values(cache: RedisCache, redis_url: str) -> None:
    await cache.put(ACME, "key", 1, ttl=MINUTE, tags=["tag"])
    async with caching(redis_url) as other:
        assert await other.get(ACME, "key") == Cached(1)

        await other.forget(ACME, "tag")

    assert await cache.get(ACME, "key") is None


@pytest.mark.parametrize("key", ["", " ", "a\nb", "{0}", "ñ ✓ \x00", "\ud800", "long " * 100_000], ids=len)
async def test_any_text_is_a_key_and_a_tag(cache: RedisCache, client: Redis, key: str) -> None:
    await cache.put(ACME, key, 1, ttl=MINUTE, tags=[key, key + "2"])
    assert await cache.get(ACME, key) == Cached(1)
    assert await cache.get(ACME, key + "x") is None
    assert max(map(len, client.keys("encola:*"))) < 150

    await cache.forget(ACME, key)

    assert await cache.get(ACME, key) is None


async def test_a_value_put_after_its_tag_was_forgotten_counts(cache: RedisCache) -> None:
    for value in range(3):
        await cache.put(ACME, "key", value, ttl=MINUTE, tags=["tag"])
        assert await cache.get(ACME, "key") == Cached(value)
        await cache.forget(ACME, "tag")
        assert await cache.get(ACME, "key") is None


@pytest.mark.parametrize("order", [("long", "short"), ("short", "long")], ids="-then-".join)
async def test_a_tag_lasts_as_long_as_the_longest_value(cache: RedisCache, order: tuple[str, str]) -> None:
    lives = {"long": MINUTE, "short": MOMENT}
    for key in order:
        await cache.put(ACME, key, 1, ttl=lives[key], tags=["tag"])
    await asyncio.sleep(2 * MOMENT.total_seconds())
    assert await cache.get(ACME, "long") == Cached(1)

    await cache.forget(ACME, "tag")

    assert await cache.get(ACME, "long") is None


async def test_a_tag_is_of_one_tenant(cache: RedisCache) -> None:
    await cache.put(ACME, "key", 1, ttl=MINUTE, tags=["tag"])

    await cache.forget(GLOBEX, "tag")

    assert await cache.get(ACME, "key") == Cached(1)


async def test_the_oldest_values_go_when_a_tenant_has_too_many(redis_url: str) -> None:
    async with caching(redis_url, entries=3) as cache:
        await cache.put(GLOBEX, "theirs", 0, ttl=MINUTE)
        for key in "abcab":
            await cache.put(ACME, key, key, ttl=MINUTE)
        await cache.put(ACME, "d", "d", ttl=MINUTE)

        assert [await cache.get(ACME, key) for key in "abcd"] == [Cached("a"), Cached("b"), None, Cached("d")]
        assert await cache.get(GLOBEX, "theirs") == Cached(0)


async def test_values_are_counted_for_as_long_as_they_live(redis_url: str) -> None:
    async with caching(redis_url, entries=2) as cache:
        await cache.put(ACME, "short", 1, ttl=MOMENT)
        await cache.put(ACME, "long", 2, ttl=MINUTE)
        await asyncio.sleep(2 * MOMENT.total_seconds())
        for key in "ab":
            await cache.put(ACME, key, key, ttl=MINUTE)

        assert await cache.get(ACME, "long") is None


async def test_nothing_stays_when_its_time_is_over(cache: RedisCache, client: Redis) -> None:
    for number in range(20):
        await cache.put(ACME, f"key {number}", number, ttl=MOMENT, tags=[f"tag {number}", "all"])
        await cache.lease(ACME, f"key {number}", ttl=MOMENT)
    await cache.forget(ACME, "tag 1", "unknown")

    async with asyncio.timeout(PATIENCE):
        while True:
            if not client.keys("encola:*"):
                return
            await asyncio.sleep(MOMENT.total_seconds())


async def test_a_lease_is_let_go_by_its_owner_only(cache: RedisCache, redis_url: str) -> None:
    async with caching(redis_url) as other:
        assert await cache.lease(ACME, "key", ttl=MINUTE)

        await other.release(ACME, "key")
        assert not await other.lease(ACME, "key", ttl=MINUTE)

        await cache.release(ACME, "key")
        assert await other.lease(ACME, "key", ttl=MINUTE)


async def test_a_lease_that_ended_and_went_to_another_stays_there(cache: RedisCache, redis_url: str) -> None:
    async with caching(redis_url) as other:
        await cache.lease(ACME, "key", ttl=MOMENT)
        await asyncio.sleep(2 * MOMENT.total_seconds())
        assert await other.lease(ACME, "key", ttl=MINUTE)

        await cache.release(ACME, "key")

        assert not await cache.lease(ACME, "key", ttl=MINUTE)


async def test_what_json_cannot_hold_is_refused(cache: RedisCache) -> None:
    with pytest.raises(ValueError, match="JSON"):
        await cache.put(ACME, "key", float("nan"), ttl=MINUTE)

    assert await cache.get(ACME, "key") is None


async def test_a_value_that_cannot_be_read_is_a_miss(cache: RedisCache, client: Redis) -> None:
    await cache.put(ACME, "key", 1, ttl=MINUTE)
    [name] = client.keys("*:cache:*")

    for garbage in (b"", b"{", b"\n{", b"tag\n1", b"tag token more\n1", b"\xff\xfe"):
        client.set(name, garbage)

        assert await cache.get(ACME, "key") is None


async def test_without_redis_every_use_says_so(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        async with caching(server.url) as cache:
            await cache.put(ACME, "key", 1, ttl=MINUTE)
            server.kill()

            outcomes = await asyncio.gather(
                cache.get(ACME, "key"),
                cache.put(ACME, "key", 1, ttl=MINUTE),
                cache.forget(ACME, "tag"),
                cache.lease(ACME, "key", ttl=MINUTE),
                cache.release(ACME, "key"),
                return_exceptions=True,
            )

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 5
