from encola.application.local_cache import LocalCache
from encola.domain.context import TenantId
from encola.testing.builders import ACME, GLOBEX


def put(cache: LocalCache, key: object, text: str = "1", *tags: str, tenant: TenantId = ACME) -> None:
    cache.put(tenant, key, text, seconds=5, tags=tags, marks=cache.marks(tenant, tags))


def test_questions_weigh_as_much_as_answers() -> None:
    cache = LocalCache(lambda: 0.0, most_bytes=1000)
    for number in range(10):
        put(cache, (number, b"x" * 300))

    assert len(cache) == 3


def test_what_weighs_more_than_everything_may_drives_nothing_out() -> None:
    cache = LocalCache(lambda: 0.0, most_bytes=1000)
    put(cache, "small")
    put(cache, "large", "x" * 1001)

    assert (cache.get("small"), cache.get("large")) == ("1", None)


def test_a_tag_forgets_what_carries_it_and_leaves_nothing_behind() -> None:
    cache = LocalCache(lambda: 0.0)
    put(cache, 1, "1", "a")
    put(cache, 2, "2", "a", "b")
    put(cache, 3, "3", "b")
    put(cache, 4, "4", "a", tenant=GLOBEX)

    cache.forget(ACME, ["a"])

    assert [cache.get(key) for key in (1, 2, 3, 4)] == [None, None, "3", "4"]
    assert set(cache._tagged) == {(ACME, "b"), (GLOBEX, "a")}
