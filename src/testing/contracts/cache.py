"""What every cache promises."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from encola.application.ports import Cache, Cached
from encola.domain.json_value import JSON
from encola.testing.builders import ACME, GLOBEX

VALUES: list[JSON] = [0, 0.0, 1, "", "text ñ ✓", [], {}, None, False, True, {"deep": [1, {"er": None}]}]

PassTime = Callable[[timedelta], Awaitable[None]]


class CacheContract:
    """The promise of :class:`~encola.application.ports.Cache`. Subclass it and give the fixtures.

    ``pass_time`` lets a duration pass on the cache's clock; where that is a real one, shorten
    ``ttl``.
    """

    ttl = timedelta(seconds=10)

    @pytest.fixture
    def cache(self) -> Cache:
        """Return an empty cache."""
        raise NotImplementedError("return an empty cache")

    @pytest.fixture
    def pass_time(self) -> PassTime:
        """Return what lets time pass."""
        raise NotImplementedError("return an async function of a timedelta")

    @pytest.mark.parametrize("value", VALUES, ids=json.dumps)
    async def test_every_value_is_a_hit(self, cache: Cache, value: JSON) -> None:
        await cache.put(ACME, "key", value, ttl=self.ttl)

        hit = await cache.get(ACME, "key")

        assert isinstance(hit, Cached)
        assert json.dumps(hit.value) == json.dumps(value)

    async def test_what_was_not_put_is_a_miss(self, cache: Cache) -> None:
        await cache.put(ACME, "key", 1, ttl=self.ttl)

        assert await cache.get(ACME, "KEY") is None

    async def test_a_value_ends_with_its_time(self, cache: Cache, pass_time: PassTime) -> None:
        await cache.put(ACME, "short", 1, ttl=self.ttl)
        await cache.put(ACME, "long", 2, ttl=self.ttl * 10)

        await pass_time(self.ttl)

        assert await cache.get(ACME, "short") is None
        assert await cache.get(ACME, "long") == Cached(2)

    async def test_a_value_lives_for_its_time(self, cache: Cache, pass_time: PassTime) -> None:
        await cache.put(ACME, "key", 1, ttl=self.ttl)

        await pass_time(self.ttl / 2)

        assert await cache.get(ACME, "key") == Cached(1)

    async def test_a_second_value_takes_the_place_of_the_first(
        self, cache: Cache, pass_time: PassTime
    ) -> None:
        await cache.put(ACME, "key", 1, ttl=self.ttl, tags=["old"])
        await cache.put(ACME, "key", 2, ttl=self.ttl * 10, tags=["new"])

        await pass_time(self.ttl)
        await cache.forget(ACME, "old")
        assert await cache.get(ACME, "key") == Cached(2)

        await cache.forget(ACME, "new")
        assert await cache.get(ACME, "key") is None

    async def test_the_cache_shares_no_object_with_its_callers(self, cache: Cache) -> None:
        value: list[JSON] = [1]
        await cache.put(ACME, "key", value, ttl=self.ttl)

        value.append(2)
        hit = await cache.get(ACME, "key")
        assert hit is not None
        assert isinstance(hit.value, list)
        hit.value.append(3)

        assert await cache.get(ACME, "key") == Cached([1])

    async def test_another_tenant_has_values_of_its_own(self, cache: Cache) -> None:
        await cache.put(ACME, "key", "ours", ttl=self.ttl, tags=["tag"])
        assert await cache.get(GLOBEX, "key") is None

        await cache.put(GLOBEX, "key", "theirs", ttl=self.ttl, tags=["tag"])
        await cache.forget(GLOBEX, "tag")

        assert await cache.get(ACME, "key") == Cached("ours")
        assert await cache.get(GLOBEX, "key") is None

    async def test_values_with_one_of_the_tags_are_forgotten(self, cache: Cache) -> None:
        for key, tags in {"x": ["a"], "y": ["a", "b"], "z": ["b"], "w": ["c"], "v": []}.items():
            await cache.put(ACME, key, key, ttl=self.ttl, tags=tags)

        await cache.forget(ACME, "a", "c")

        assert [await cache.get(ACME, key) for key in "xyzwv"] == [None, None, Cached("z"), None, Cached("v")]

    async def test_a_value_whose_tag_was_forgotten_since_its_marks_is_not_kept(self, cache: Cache) -> None:
        marks = await cache.marks(ACME, ["red", "round"])
        await cache.forget(ACME, "round")
        await cache.put(ACME, "ball", 1, ttl=self.ttl, tags=["red", "round"], marks=marks)

        assert await cache.get(ACME, "ball") is None

    async def test_a_value_with_marks_of_now_is_kept_and_forgotten_like_any(self, cache: Cache) -> None:
        await cache.forget(ACME, "round")
        marks = await cache.marks(ACME, ["red", "round"])
        await cache.forget(GLOBEX, "round")
        await cache.forget(ACME, "blue")
        await cache.put(ACME, "ball", 1, ttl=self.ttl, tags=["red", "round"], marks=marks)
        kept = await cache.get(ACME, "ball")
        await cache.forget(ACME, "red")

        assert kept == Cached(1)
        assert await cache.get(ACME, "ball") is None

    async def test_marks_of_no_tags_keep_nothing_out(self, cache: Cache) -> None:
        await cache.put(ACME, "key", 1, ttl=self.ttl, marks=await cache.marks(ACME, []))

        assert await cache.get(ACME, "key") == Cached(1)

    async def test_forgetting_no_or_unknown_tags_does_nothing(self, cache: Cache) -> None:
        await cache.put(ACME, "key", 1, ttl=self.ttl, tags=["a"])

        await cache.forget(ACME)
        await cache.forget(ACME, "unknown")

        assert await cache.get(ACME, "key") == Cached(1)

    async def test_one_of_many_gets_the_lease(self, cache: Cache) -> None:
        won = await asyncio.gather(*(cache.lease(ACME, "key", ttl=self.ttl) for _ in range(20)))

        assert won.count(True) == 1
        assert won.count(False) == 19

    async def test_a_lease_ends_with_its_time(self, cache: Cache, pass_time: PassTime) -> None:
        await cache.lease(ACME, "key", ttl=self.ttl)
        assert not await cache.lease(ACME, "key", ttl=self.ttl)

        await pass_time(self.ttl)

        assert await cache.lease(ACME, "key", ttl=self.ttl)

    async def test_a_lease_that_is_let_go_can_be_had_again(self, cache: Cache) -> None:
        await cache.lease(ACME, "key", ttl=self.ttl)

        await cache.release(ACME, "key")

        assert await cache.lease(ACME, "key", ttl=self.ttl)

    async def test_letting_go_of_no_lease_does_nothing(self, cache: Cache) -> None:
        await cache.release(ACME, "key")

    async def test_a_lease_is_of_one_key_and_one_tenant(self, cache: Cache) -> None:
        await cache.lease(ACME, "key", ttl=self.ttl)

        assert await cache.lease(ACME, "other", ttl=self.ttl)
        assert await cache.lease(GLOBEX, "key", ttl=self.ttl)
        await cache.release(GLOBEX, "key")
        assert not await cache.lease(ACME, "key", ttl=self.ttl)

    async def test_a_lease_is_no_value(self, cache: Cache) -> None:
        await cache.lease(ACME, "key", ttl=self.ttl)

        assert await cache.get(ACME, "key") is None
