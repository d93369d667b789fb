"""What a cache may answer, to whom, for how long, and who is asked when."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from encola.adapters.memory import InMemoryCache, InMemoryMetrics, ManualClock
from encola.application.local_cache import quick_key
from encola.application.response_cache import MOMENT, ResponseCache, _key
from encola.domain.context import ExecutionContext, TenantId
from encola.domain.errors import StoreUnavailable
from encola.domain.json_value import JSON, MAX_DEPTH
from encola.domain.policy import OperationPolicy, Repeat
from encola.domain.service import CallMeta, ServiceCall, ServiceError, ServiceResult

TTL = 100.0
POLICY = OperationPolicy(
    name="read",
    timeout=5.0,
    ttl=int(TTL),
    repeat=Repeat.SAFE,
    caches_response=True,
    swr=20.0,
    sie=300.0,
    negative_ttl=3.0,
    tags=("all", "collection:{collection_id}"),
)
CONTEXT = ExecutionContext(tenant_id=TenantId("acme"), collection_id="docs")
CALL = ServiceCall(service="query", path="/q", operation=POLICY, context=CONTEXT, timeout=5.0)


@dataclass
class Service:
    """Counts how often it was asked, and answers with that number."""

    clock: ManualClock
    asked: list[ServiceCall] = field(default_factory=list)
    asked_at: list[float] = field(default_factory=list)
    fails_with: str | None = None
    may_answer: asyncio.Event | None = None

    async def __call__(self, call: ServiceCall) -> ServiceResult:
        self.asked.append(call)
        self.asked_at.append(self.clock.now().timestamp())
        number = len(self.asked)
        if self.may_answer is not None:
            await self.may_answer.wait()
        error = None if self.fails_with is None else ServiceError(code=self.fails_with, message="no")
        meta = CallMeta(service=call.service, operation=call.operation.name, attempts=1, elapsed_ms=1)
        return ServiceResult(
            success=error is None, data={"number": number} if error is None else None, error=error, meta=meta
        )


@dataclass
class Process:
    """A process with a cache of its own before the cache of all."""

    clock: ManualClock
    cache: InMemoryCache
    service: Service

    def __post_init__(self) -> None:
        self.responses = ResponseCache(
            self.cache, self.clock, InMemoryMetrics(), now=self.seconds, chance=lambda: 0.5
        )

    def seconds(self) -> float:
        return self.clock.now().timestamp()

    async def ask(self, call: ServiceCall = CALL, ttl: float = TTL) -> ServiceResult:
        asked = (call.context, call.operation, call.service, call.path, call.method, call.data)
        return self.responses.recall(*asked) or await self.responses.answer(call, ttl, self.service)

    async def asks(self, call: ServiceCall = CALL) -> tuple[Any, str]:
        result = await self.ask(call)
        return (result.data or {}).get("number"), result.meta.source  # type: ignore[union-attr]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def here(clock: ManualClock) -> Process:
    return Process(clock, InMemoryCache(clock), Service(clock))


@pytest.fixture
def elsewhere(here: Process) -> Process:
    return Process(here.clock, here.cache, here.service)


async def passed(process: Process, seconds: float) -> None:
    await process.clock.advance(timedelta(seconds=seconds))


async def settled(condition: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to pass")


async def test_the_process_remembers_for_seconds_and_all_of_them_for_the_time_to_live(
    here: Process, elsewhere: Process
) -> None:
    assert await here.asks() == (1, "upstream")
    assert await here.asks() == (1, "l1")
    assert await elsewhere.asks() == (1, "l2")
    assert await elsewhere.asks() == (1, "l1")
    await passed(here, 5)
    assert await here.asks() == (1, "l2")
    await passed(here, 94)
    assert await here.asks() == (1, "l2")
    await passed(here, 22)
    assert await here.asks() == (2, "upstream")


async def test_what_is_just_no_longer_fresh_is_given_while_it_is_fetched_anew(here: Process) -> None:
    await here.ask()
    await passed(here, 101)
    here.service.may_answer = asyncio.Event()
    assert [await here.asks() for _ in range(3)] == [(1, "stale")] * 3
    here.service.may_answer.set()
    await settled(lambda: not here.responses._refreshes)

    assert await here.asks() == (2, "l1")
    assert len(here.service.asked) == 2


async def test_when_the_service_fails_an_old_answer_is_better_than_none(here: Process) -> None:
    await here.ask()
    await passed(here, 200)
    here.service.fails_with = "upstream_unavailable"
    assert await here.asks() == (1, "stale")
    await passed(here, 250)
    result = await here.ask()

    assert result.error is not None
    assert result.error.code == "upstream_unavailable"


async def test_an_old_answer_hides_no_fault_of_the_caller(here: Process) -> None:
    await here.ask()
    await passed(here, 200)
    here.service.fails_with = "unauthorized"

    assert not (await here.ask()).success


async def test_an_old_answer_comes_before_the_time_is_over(here: Process) -> None:
    await here.ask()
    await passed(here, 200)
    here.service.may_answer = asyncio.Event()
    waiting = asyncio.create_task(here.ask(replace(CALL, timeout=0.05)))
    await settled(lambda: len(here.service.asked) == 2)

    assert here.service.asked[-1].timeout == pytest.approx(0.05 - MOMENT, abs=0.04)
    here.service.fails_with = "deadline_exceeded"
    here.service.may_answer.set()
    assert (await waiting).meta.source == "stale"


async def test_that_there_is_nothing_is_kept_for_a_moment_if_the_operation_says_so(here: Process) -> None:
    here.service.fails_with = "not_found"
    first, second = await here.ask(), await here.ask()
    await passed(here, 4)
    third = await here.ask()

    assert [result.error and result.error.code for result in (first, second, third)] == ["not_found"] * 3
    assert [result.meta.source for result in (first, second, third)] == ["upstream", "l2", "upstream"]


@pytest.mark.parametrize("code", ["upstream_error", "rate_limited", "bad_request", "circuit_open"])
async def test_no_other_failure_is_kept(here: Process, code: str) -> None:
    here.service.fails_with = code
    await here.ask()
    await here.ask()

    assert len(here.service.asked) == 2


async def test_a_tag_forgets_what_carries_it_here_and_elsewhere(here: Process, elsewhere: Process) -> None:
    other = replace(CALL, context=replace(CONTEXT, collection_id="other"))
    for call in (CALL, other):
        await here.ask(call)
        await elsewhere.ask(call)
    await here.responses.invalidate(CONTEXT.tenant_id, ["collection:docs"])

    assert await here.asks() == (3, "upstream")
    assert await here.asks(other) == (2, "l1")
    await passed(here, 5)
    assert await elsewhere.asks() == (3, "l2")


async def test_the_tags_of_one_tenant_are_not_those_of_another(here: Process) -> None:
    await here.ask()
    await here.responses.invalidate(TenantId("globex"), ["all"])

    assert await here.asks() == (1, "l1")


async def test_what_was_under_way_when_its_tag_was_forgotten_is_not_kept(here: Process) -> None:
    here.service.may_answer = asyncio.Event()
    asking = asyncio.create_task(here.ask())
    await settled(lambda: len(here.service.asked) == 1)
    await here.responses.invalidate(CONTEXT.tenant_id, ["all"])
    here.service.may_answer.set()
    await asking

    assert await here.asks() == (2, "upstream")


async def test_a_thousand_who_ask_the_same_ask_once_and_share_nothing(here: Process) -> None:
    results = await asyncio.gather(*(here.ask() for _ in range(1_000)))

    assert len(here.service.asked) == 1
    assert {result.meta.source for result in results} == {"upstream", "coalesced"}
    assert len({id(result.data) for result in results}) == 1_000


async def test_who_leads_may_leave(here: Process) -> None:
    here.service.may_answer = asyncio.Event()
    callers = [asyncio.create_task(here.ask()) for _ in range(20)]
    await settled(lambda: len(here.service.asked) == 1)
    for number in (0, 7, 13):
        callers[number].cancel()
    here.service.may_answer.set()
    results = await asyncio.gather(*callers, return_exceptions=True)

    assert sum(isinstance(result, ServiceResult) and result.success for result in results) == 17
    assert len(here.service.asked) == 1


async def test_processes_ask_one_after_the_other_not_all_at_once(here: Process, elsewhere: Process) -> None:
    here.service.may_answer = asyncio.Event()
    callers = [asyncio.create_task(process.asks()) for process in (here, elsewhere)]
    await settled(lambda: len(here.service.asked) == 1)
    await asyncio.sleep(0.05)
    here.service.may_answer.set()

    assert sorted(await asyncio.gather(*callers)) == [(1, "coalesced"), (1, "upstream")]


class BrokenCache(InMemoryCache):
    async def get(self, *args: Any, **options: Any) -> Any:
        raise StoreUnavailable("away")

    async def lease(self, *args: Any, **options: Any) -> bool:
        raise StoreUnavailable("away")


async def test_without_a_cache_everybody_is_answered_all_the_same(clock: ManualClock) -> None:
    process = Process(clock, BrokenCache(clock), Service(clock))

    assert await process.asks() == (1, "upstream")
    assert await process.asks() == (1, "l1")


names = st.sampled_from(["a", "b", "a:b", "", "tenant"])
jsons: st.SearchStrategy[JSON] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["", "1", "x"])
    | st.sampled_from([0.5, 1.0]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 1), st.sampled_from(["acme", "globex"]), st.integers(0, 2)),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 6.0, 60.0, 115.0])),
        st.tuples(st.just("forget"), st.integers(0, 1), st.sampled_from(["acme", "globex"])),
        st.tuples(st.just("fail"), st.booleans()),
    ),
    max_size=30,
)


@given(steps)
@settings(max_examples=80)
def test_whatever_happens_an_answer_is_of_its_question_and_not_too_old(steps: list[Any]) -> None:
    asyncio.run(_story(steps))


async def _story(steps: list[Any]) -> None:
    clock = ManualClock()
    cache, service = InMemoryCache(clock), Service(clock)
    processes = [Process(clock, cache, service) for _ in range(2)]
    forgotten: dict[tuple[str, int], float] = {}
    for step in steps:
        now = clock.now().timestamp()
        if step[0] == "wait":
            await clock.advance(timedelta(seconds=step[1]))
        elif step[0] == "fail":
            service.fails_with = "upstream_unavailable" if step[1] else None
        elif step[0] == "forget":
            await processes[step[1]].responses.invalidate(TenantId(step[2]), ["all"])
            forgotten[step[2], step[1]] = now
            forgotten[step[2], 1 - step[1]] = max(now - 5, forgotten.get((step[2], 1 - step[1]), 0))
        else:
            _, number, tenant, path = step
            call = replace(CALL, path=f"/{path}", context=ExecutionContext(tenant_id=TenantId(tenant)))
            result = await processes[number].ask(call)
            if result.data is not None:
                place = result.data["number"] - 1  # type: ignore[index,call-overload,operator]
                at, asked = service.asked_at[place], service.asked[place]
                assert (asked.path, asked.context) == (call.path, call.context)
                limit = TTL * 1.1 + (300 if result.meta.source == "stale" else 0)
                assert now - at <= limit
                assert at >= forgotten.get((tenant, number), 0)
    for process in processes:
        await process.responses.close()


@given(jsons, jsons, st.sampled_from(["acme", "globex"]), st.sampled_from(["acme", "globex"]))
@settings(max_examples=200)
def test_two_questions_share_an_answer_only_if_they_are_the_same(
    one: JSON, other: JSON, tenant: str, other_tenant: str
) -> None:
    async def story() -> bool:
        clock = ManualClock()
        process = Process(clock, InMemoryCache(clock), Service(clock))
        for data, name in ((one, tenant), (other, other_tenant)):
            await process.ask(replace(CALL, data=data, context=ExecutionContext(tenant_id=TenantId(name))))
        return len(process.service.asked) == 1

    is_same = tenant == other_tenant and _spelt(one) == _spelt(other)
    assert asyncio.run(story()) == is_same


def _spelt(value: JSON) -> bytes:
    return rfc8785.dumps(value)  # type: ignore[arg-type]


def test_a_hundred_thousand_random_pairs_of_tenants_never_meet() -> None:
    chance = random.Random(11)
    seen: dict[object, str] = {}
    for _ in range(100_000):
        tenant = f"t{chance.randrange(300)}"
        context = ExecutionContext(tenant_id=TenantId(tenant))
        call = replace(CALL, data={"q": chance.randrange(40)}, context=context)
        keys: list[object] = [quick_key(context, POLICY, "query", "/q", "POST", call.data)]
        if chance.random() < 0.05:
            keys.append((tenant, _key(call)))
        for key in keys:
            assert seen.setdefault(key, tenant) == tenant


async def test_who_comes_after_an_invalidation_does_not_join_who_asked_before_it(here: Process) -> None:
    here.service.may_answer = asyncio.Event()
    before = asyncio.create_task(here.asks())
    await settled(lambda: len(here.service.asked) == 1)
    await here.responses.invalidate(CONTEXT.tenant_id, ["all"])
    after = asyncio.create_task(here.asks())
    # It looks for the lease of who asked before until that one lets it go.
    await asyncio.sleep(0.05)
    here.service.may_answer.set()

    assert await asyncio.gather(before, after) == [(1, "upstream"), (2, "upstream")]


class ForgetfulCache(InMemoryCache):
    """A cache that cannot be told to forget while it is ``away``."""

    away = False

    async def forget(self, tenant: TenantId, *tags: str) -> None:
        if self.away:
            raise StoreUnavailable("away")
        await super().forget(tenant, *tags)


async def test_what_could_not_be_forgotten_is_forgotten_before_it_is_read(clock: ManualClock) -> None:
    cache = ForgetfulCache(clock)
    process = Process(clock, cache, Service(clock))
    await process.asks()
    cache.away = True
    await process.responses.invalidate(CONTEXT.tenant_id, ["all"])
    cache.away = False
    await passed(process, 2)

    assert await process.asks() == (2, "upstream")


async def test_of_those_who_wait_for_one_with_too_little_time_one_asks_again(here: Process) -> None:
    here.service.may_answer = asyncio.Event()
    hasty = asyncio.create_task(here.ask(replace(CALL, timeout=0.05)))
    await settled(lambda: len(here.service.asked) == 1)
    here.service.fails_with = "deadline_exceeded"
    patient = [asyncio.create_task(here.ask()) for _ in range(100)]
    await asyncio.sleep(0)
    here.service.may_answer.set()
    await settled(lambda: len(here.service.asked) == 1 and hasty.done())
    here.service.fails_with = None
    results = await asyncio.gather(*patient)

    assert all(result.success for result in results)
    assert len(here.service.asked) == 2


async def test_a_lease_whose_holder_died_leaves_time_to_ask(here: Process) -> None:
    await here.cache.lease(CONTEXT.tenant_id, _key(CALL), ttl=timedelta(hours=1))

    result = await here.ask(replace(CALL, timeout=0.4))

    assert (result.success, result.meta.source) == (True, "upstream")


@pytest.mark.parametrize(("code", "status"), [("rate_limited", 429), ("upstream_error", 200)])
async def test_an_old_answer_hides_no_refusal(here: Process, code: str, status: int) -> None:
    await here.asks()
    await passed(here, TTL * 1.5)
    error = ServiceError(code=code, message="no", status=status)
    meta = CallMeta(service="query", operation="read", attempts=1, elapsed_ms=1)

    async def refuse(call: ServiceCall) -> ServiceResult:
        return ServiceResult(success=False, data=None, error=error, meta=meta)

    result = await here.responses.answer(CALL, TTL, refuse)

    assert result.error == error


async def test_data_may_be_as_deep_as_json_may_be(here: Process) -> None:
    deep: JSON = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]

    assert (await here.asks(replace(CALL, data=deep))) == (1, "upstream")


async def test_what_json_cannot_hold_is_answered_though_not_shared(here: Process) -> None:
    meta = CallMeta(service="query", operation="read", attempts=1, elapsed_ms=1)

    async def endless(call: ServiceCall) -> ServiceResult:
        return ServiceResult(success=True, data=float("inf"), error=None, meta=meta)

    assert (await here.responses.answer(CALL, TTL, endless)).data == float("inf")
