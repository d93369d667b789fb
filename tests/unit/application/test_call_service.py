"""``call_service``: whose call it is, how long it may take, and what a cache may answer."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from house import House

from encola.application.current import current_context, current_deadline, running_in
from encola.application.job_context import JobContext
from encola.domain.context import ExecutionContext
from encola.domain.errors import InvalidContext, UnknownOperation, UnknownService
from encola.domain.job import JobStatus
from encola.domain.json_value import JSON
from encola.domain.service import CallMeta, ServiceCall, ServiceError, ServiceResult
from encola.testing.builders import ACME, GLOBEX

HERE = ExecutionContext(tenant_id=ACME, agent_id="a", conversation_id="b", collection_id="c", traceparent="t")
RAG: dict[str, Any] = {"operation_type": "rag_query"}
SECOND = timedelta(seconds=1)


def failing(call: ServiceCall) -> ServiceResult:
    error = ServiceError(code="bad", message="bad")
    meta = CallMeta(service=call.service, operation=call.operation.name, attempts=1, elapsed_ms=0)
    return ServiceResult(success=False, data=None, error=error, meta=meta)


@pytest.fixture
def house() -> House:
    answers: dict[tuple[str, str], Any] = {
        ("agent", "/ask"): {"answer": 42},
        ("agent", "/nothing"): lambda call: None,
        ("agent", "/broken"): failing,
        ("agent", "/status"): lambda call: {"status": call.data},
        ("agent", "/count"): lambda call: len(house.caller.calls),
    }
    house = House(answers)
    return house


def last(house: House) -> ServiceCall:
    return house.caller.calls[-1]


async def test_the_context_is_that_of_the_work_that_runs(house: House) -> None:
    with running_in(HERE):
        await house.call_service("agent/ask", {"q": 1}, **RAG)

    assert last(house).context == HERE
    assert (last(house).service, last(house).path, last(house).data) == ("agent", "/ask", {"q": 1})


async def test_what_is_passed_wins(house: House) -> None:
    with running_in(HERE):
        await house.call_service("agent/ask", agent_id="mine", tenant_id="acme", **RAG)

    assert last(house).context.as_mapping() == HERE.as_mapping() | {"agent_id": "mine"}


async def test_names_of_one_tenant_are_not_carried_to_another(house: House) -> None:
    with running_in(HERE):
        await house.call_service("agent/ask", tenant_id="globex", agent_id="x", **RAG)

    assert last(house).context == ExecutionContext(tenant_id=GLOBEX, agent_id="x")


async def test_seed_05_there_is_no_call_without_a_tenant(house: House) -> None:
    with pytest.raises(InvalidContext, match="tenant"):
        await house.call_service("agent/ask", **RAG)
    assert not house.caller.calls


@pytest.mark.parametrize("names", [{"tenant_id": "a b"}, {"tenant_id": ""}, {"agent_id": "a/b"}])
async def test_a_name_outside_the_grammar_is_misuse(house: House, names: dict[str, str]) -> None:
    with running_in(HERE), pytest.raises(InvalidContext):
        await house.call_service("agent/ask", **names, **RAG)
    assert not house.caller.calls


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/", "http://agent.test.evil/base", "stranger/ask", ""]
)
async def test_seed_13_only_registered_services_are_called(house: House, url: str) -> None:
    with running_in(HERE), pytest.raises(UnknownService):
        await house.call_service(url, **RAG)
    assert not house.caller.calls


async def test_a_url_below_a_registered_base_is_its_service(house: House) -> None:
    with running_in(HERE):
        result = await house.call_service("http://agent.test/base/ask", **RAG)

    assert (last(house).service, last(house).path, result.data) == ("agent", "/ask", {"answer": 42})


async def test_an_unknown_operation_is_misuse(house: House) -> None:
    with running_in(HERE), pytest.raises(UnknownOperation):
        await house.call_service("agent/ask", operation_type="guess")


async def test_method_time_and_attempts_are_the_operations(house: House) -> None:
    with running_in(HERE):
        await house.call_service("agent/ask", operation_type="queue_job_status")

    call = last(house)
    assert (call.method, call.timeout, call.attempts) == ("GET", 5.0, 3)


async def test_method_time_and_attempts_can_be_given(house: House) -> None:
    with running_in(HERE):
        await house.call_service("agent/ask", None, "put", custom_timeout=1.5, max_retries=4, **RAG)
        assert (last(house).method, last(house).timeout, last(house).attempts) == ("PUT", 1.5, 5)
        await house.call_service("agent/ask", max_retries=0, **RAG)
        assert last(house).attempts == 1
        await house.call_service("agent/ask", max_retries=-3, **RAG)
        assert last(house).attempts == 1


async def test_seed_26_a_call_has_no_more_time_than_the_job_has_left(house: House) -> None:
    deadline = house.clock.now() + 10 * SECOND
    with running_in(HERE, deadline):
        await house.clock.advance(4 * SECOND)
        await house.call_service("agent/ask", **RAG)
        assert last(house).timeout == 6.0
        await house.call_service("agent/ask", custom_timeout=2.0, **RAG)
        assert last(house).timeout == 2.0


async def test_without_time_left_no_packet_is_sent(house: House) -> None:
    with running_in(HERE, house.clock.now()):
        result = await house.call_service("agent/ask", **RAG)

    assert not house.caller.calls
    assert not result.success
    assert result.error is not None
    assert (result.error.code, result.error.status, result.meta.source) == ("deadline_exceeded", 504, "local")


async def ask(house: House, path: str = "count", data: JSON = None, **options: Any) -> ServiceResult:
    return await house.call_service(f"agent/{path}", data, **{"use_cache": True, **RAG, **options})


async def test_a_response_is_kept_for_the_same_question_while_it_lives(house: House) -> None:
    with running_in(HERE):
        first, hit = await ask(house), await ask(house)
        await house.clock.advance(3700 * SECOND)
        late = await ask(house)

    assert (first.data, hit.data, late.data) == (1, 1, 2)
    assert (first.meta.source, hit.meta.source) == ("upstream", "l1")
    assert hit.success
    assert hit.meta.attempts == 0


async def test_a_time_to_live_of_ones_own_wins(house: House) -> None:
    with running_in(HERE):
        await ask(house, cache_ttl=5)
        await house.clock.advance(11 * SECOND)
        assert (await ask(house, cache_ttl=5)).data == 2


async def test_another_question_is_not_answered_from_the_cache(house: House) -> None:
    with running_in(HERE):
        await ask(house)
        others = [
            await ask(house, data={"q": 1}),
            await ask(house, data={"q": "1"}),
            await ask(house, agent_id="other"),
            await ask(house, collection_id="other"),
            await ask(house, method="PUT"),
            await ask(house, operation_type="queue_metrics"),
        ]

    assert [result.meta.source for result in others] == ["upstream"] * 6


async def test_seed_05_one_tenants_response_is_never_anothers(house: House) -> None:
    for tenant in (ACME, GLOBEX):
        with running_in(ExecutionContext(tenant_id=tenant)):
            assert (await ask(house)).meta.source == "upstream"


async def test_nothing_is_cached_unasked(house: House) -> None:
    with running_in(HERE):
        await ask(house, use_cache=False)
        assert (await ask(house)).meta.source == "upstream"
        assert (await ask(house, use_cache=False)).meta.source == "upstream"
        assert (await ask(house, on_output=print)).meta.source == "upstream"


@pytest.mark.parametrize("operation", ["queue_job_create", "batch_job", "agent_execution", "health_check"])
async def test_seed_14_what_creates_or_acts_is_never_answered_from_a_cache(
    house: House, operation: str
) -> None:
    with running_in(HERE):
        results = [await ask(house, operation_type=operation) for _ in range(2)]

    assert [result.data for result in results] == [1, 2]


@pytest.mark.parametrize("status", JobStatus)
async def test_seed_20_a_jobs_status_is_kept_only_once_it_is_terminal(
    house: House, status: JobStatus
) -> None:
    with running_in(HERE):
        sources = [
            (await ask(house, "status", status.value, operation_type="queue_job_status")).meta.source
            for _ in range(2)
        ]

    assert sources == ["upstream", "l1" if status.is_terminal else "upstream"]


async def test_a_failure_is_not_cached_and_a_falsy_answer_is(house: House) -> None:
    with running_in(HERE):
        failures = [await ask(house, "broken") for _ in range(2)]
        falsy = [await ask(house, "nothing") for _ in range(2)]

    assert [result.meta.source for result in failures] == ["upstream", "upstream"]
    assert [result.meta.source for result in falsy] == ["upstream", "l1"]
    assert falsy[1].success
    assert falsy[1].data is None


async def test_a_handlers_call_has_the_jobs_context_and_time(house: House) -> None:
    async def work(ctx: JobContext, params: JSON) -> JSON:
        reply = await ctx.call_service("agent", "/ask", {"q": 1}, operation_type="agent_execution")
        return reply.data

    house.handle(work)
    job = await house.run(context=HERE, timeout=20 * SECOND)

    assert job.result == {"answer": 42}
    assert (last(house).context, last(house).timeout) == (HERE, 20.0)


def test_seed_27_leaving_an_inner_context_brings_the_outer_one_back(house: House) -> None:
    def current() -> tuple[ExecutionContext | None, datetime | None]:
        return current_context(), current_deadline()

    inner, now = ExecutionContext(tenant_id=GLOBEX), house.clock.now()
    with running_in(HERE, now):
        with running_in(inner, now + SECOND):
            with running_in(HERE):
                assert current() == (HERE, None)
            assert current() == (inner, now + SECOND)
        assert current() == (HERE, now)
    assert current() == (None, None)


def test_the_outer_context_is_back_after_an_error_too() -> None:
    with running_in(HERE):
        with pytest.raises(ZeroDivisionError), running_in(ExecutionContext(tenant_id=GLOBEX)):
            raise ZeroDivisionError
        assert current_context() == HERE


async def test_many_who_ask_the_same_at_once_are_one_call(house: House) -> None:
    with running_in(HERE):
        results = await asyncio.gather(*(ask(house) for _ in range(100)))

    assert len(house.caller.calls) == 1
    assert [result.meta.source for result in results].count("upstream") == 1
    assert [result.meta.source for result in results].count("coalesced") == 99
    assert {str(result.data) for result in results} == {str(results[0].data)}


async def test_another_tenant_asks_for_itself(house: House) -> None:
    with running_in(HERE):
        ours, theirs = await asyncio.gather(ask(house), ask(house, tenant_id="globex"))

    assert len(house.caller.calls) == 2
    assert (ours.meta.source, theirs.meta.source) == ("upstream", "upstream")


async def test_answers_are_forgotten_by_the_tags_of_the_operation_the_call_and_what_it_invalidates(
    house: House,
) -> None:
    with running_in(HERE):
        for tag in ("collection:c", "mine"):
            await ask(house, cache_tags=["mine"])
            count = len(house.caller.calls)
            await house.call_service.invalidate("other", tenant_id="acme")
            assert (await ask(house)).meta.source == "l1"
            await house.call_service.invalidate(tag)
            assert (await ask(house, cache_tags=["mine"])).data == count + 1
        await ask(house, operation_type="queue_job_list")
        await house.call_service("agent/nothing", operation_type="queue_job_cancel")
        assert (await ask(house, operation_type="queue_job_list")).meta.source == "upstream"


async def test_a_write_that_nobody_waits_for_any_more_invalidates_too(house: House) -> None:
    written, may_end = asyncio.Event(), asyncio.Event()

    async def write(call: ServiceCall) -> None:
        written.set()
        await may_end.wait()

    house.caller._answers = {**house.caller._answers, ("agent", "/write"): write}
    with running_in(HERE):
        await ask(house, operation_type="queue_job_list")
        writing = asyncio.create_task(house.call_service("agent/write", operation_type="queue_job_update"))
        await written.wait()
        writing.cancel()
        await asyncio.wait({writing})

        assert (await ask(house, operation_type="queue_job_list")).meta.source == "upstream"
