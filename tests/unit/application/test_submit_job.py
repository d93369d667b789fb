"""Taking a job in."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from house import House
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from encola.application.job_context import JobContext
from encola.application.submit_job import KEY_LIFETIME, MAX_DELAY, MAX_PARAMS_BYTES
from encola.domain.context import ExecutionContext
from encola.domain.errors import (
    IdempotencyMismatch,
    InvalidInput,
    InvalidParams,
    NotJson,
    TooLarge,
    UnknownJobType,
)
from encola.domain.job import JobStatus, Priority
from encola.domain.json_value import JSON
from encola.domain.policy import RetryPolicy
from encola.testing.builders import ACME, GLOBEX

SECOND = timedelta(seconds=1)


class Question(BaseModel):
    text: str
    top_k: int = 5


async def work(ctx: JobContext, params: JSON) -> JSON:
    return params


async def answer(ctx: JobContext, params: Question) -> str:
    return params.text


@pytest.fixture
def house(house: House) -> House:
    house.handle(work, queue="query_tasks", timeout=7 * SECOND, priority=Priority.LOW)
    house.handle(answer, "answer")
    return house


async def nothing_was_written(house: House) -> bool:
    return not await house.count_jobs(ACME) and house.nudges == 0


async def test_an_accepted_job_is_stored_announced_and_rung_for(house: House) -> None:
    submitted = await house.ask({"a": 1})

    assert not submitted.replayed
    assert await house.now(submitted.job) == submitted.job
    assert await house.statuses(submitted.job) == ["queued"]
    assert house.nudges == 1
    assert house.metrics.counted("encola_jobs_registered_total", type="work") == 1


async def test_what_is_not_said_is_as_the_type_says(house: House) -> None:
    job = await house.submit()

    assert (job.queue, job.timeout, job.priority) == ("query_tasks", 7 * SECOND, Priority.LOW)
    assert (job.retry, job.tags, job.use_cache) == (RetryPolicy(), (), False)
    assert job.due_at == house.clock.now()


async def test_what_is_said_wins(house: House) -> None:
    house.handlers.declare(["mine"])
    job = await house.submit(
        queue="mine", timeout=SECOND, priority=Priority.HIGH, retries=2, tags=("a", "b"), use_cache=True
    )

    assert (job.queue, job.timeout, job.priority) == ("mine", SECOND, Priority.HIGH)
    assert (job.retry, job.tags, job.use_cache) == (RetryPolicy.of(2), ("a", "b"), True)


async def test_a_job_for_later_is_scheduled(house: House) -> None:
    now = house.clock.now()
    delayed = await house.submit(delay=60 * SECOND, ttl=10 * SECOND)
    dated = await house.submit(run_at=now + 60 * SECOND)
    late = await house.submit(run_at=now - 60 * SECOND)

    assert (delayed.status, delayed.due_at) == (JobStatus.SCHEDULED, now + 60 * SECOND)
    assert delayed.expires_at == delayed.check_at == now + 70 * SECOND
    assert (dated.status, dated.due_at) == (JobStatus.SCHEDULED, now + 60 * SECOND)
    assert (late.status, late.due_at) == (JobStatus.QUEUED, now)


async def test_the_same_key_and_request_is_the_same_job(house: House) -> None:
    first = await house.ask({"a": 1, "b": 2}, idempotency_key="k", tags=("t",))
    second = await house.ask({"b": 2, "a": 1}, idempotency_key="k", tags=("t",))

    assert (first.replayed, second.replayed) == (False, True)
    assert second.job == first.job
    assert house.nudges == 1
    assert house.metrics.counted("encola_jobs_registered_total", type="work") == 1


@pytest.mark.parametrize(
    "other",
    [
        {"params": {"a": 2}},
        {"params": {"a": "1"}},
        {"tags": ("t",)},
        {"queue": "query_tasks"},
        {"priority": Priority.HIGH},
        {"delay": SECOND},
        {"ttl": SECOND},
        {"timeout": SECOND},
        {"retries": 0},
        {"use_cache": True},
        {"type": "answer", "params": {"text": "a"}},
        {"context": ExecutionContext(tenant_id=ACME, agent_id="x")},
    ],
    ids=str,
)
async def test_the_same_key_for_another_request_is_refused(house: House, other: dict[str, Any]) -> None:
    house.handlers.declare(["query_tasks"])
    first = await house.submit({"a": 1}, idempotency_key="k")

    with pytest.raises(IdempotencyMismatch):
        await house.submit(**{"params": {"a": 1}, **other}, idempotency_key="k")

    assert await house.now(first) == first
    assert [count.count for count in await house.count_jobs(ACME)] == [1]


async def test_a_key_is_one_tenants_own(house: House) -> None:
    mine = await house.ask({"a": 1}, idempotency_key="k")
    theirs = await house.ask({"a": 2}, idempotency_key="k", tenant=GLOBEX)

    assert not theirs.replayed
    assert theirs.job.id != mine.job.id


async def test_a_key_is_remembered_for_a_day(house: House) -> None:
    first = await house.submit(idempotency_key="k")
    await house.clock.advance(KEY_LIFETIME - SECOND)
    same = await house.submit(idempotency_key="k")
    await house.clock.advance(SECOND)
    other = await house.submit(idempotency_key="k")

    assert timedelta(hours=24) <= KEY_LIFETIME
    assert same.id == first.id
    assert other.id != first.id


async def test_seed_12_requests_at_once_under_one_key_make_one_job(house: House) -> None:
    submitted = await asyncio.gather(*(house.ask(idempotency_key="k") for _ in range(20)))

    assert len({each.job.id for each in submitted}) == 1
    assert sum(not each.replayed for each in submitted) == 1


async def test_seed_14_the_replay_of_a_request_is_never_another_clients_job(house: House) -> None:
    mine = await house.submit({"a": 1})
    theirs = await house.submit({"a": 1}, tenant=GLOBEX)
    again = await house.submit({"a": 1})

    assert len({mine.id, theirs.id, again.id}) == 3


async def test_an_unknown_type_is_refused_by_name(house: House) -> None:
    with pytest.raises(UnknownJobType, match=r"'guess'.*answer, work"):
        await house.submit(type="guess")
    assert await nothing_was_written(house)


async def test_params_that_do_not_fit_are_refused_with_their_places(house: House) -> None:
    with pytest.raises(InvalidParams) as refused:
        await house.submit({"top_k": "many", "secret": "hunter2"}, type="answer")

    assert {place for place, _ in refused.value.problems} == {"/text", "/top_k"}
    assert "hunter2" not in f"{refused.value} {refused.value.problems}"
    assert "many" not in f"{refused.value} {refused.value.problems}"
    assert await nothing_was_written(house)


async def test_a_refused_request_leaves_its_key_free(house: House) -> None:
    with pytest.raises(InvalidParams):
        await house.submit({"wrong": 1}, type="answer", idempotency_key="k")

    assert not (await house.ask({"text": "right"}, type="answer", idempotency_key="k")).replayed


@pytest.mark.parametrize(
    "options",
    [
        {"delay": -SECOND},
        {"delay": MAX_DELAY + SECOND},
        {"ttl": -SECOND},
        {"ttl": MAX_DELAY + SECOND},
        {"timeout": timedelta(0)},
        {"timeout": -SECOND},
        {"timeout": timedelta(days=1, seconds=1)},
        {"retries": -1},
        {"retries": 101},
        {"tags": ("t",) * 33},
    ],
    ids=str,
)
async def test_an_option_beyond_its_limits_is_refused(house: House, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(options))):
        await house.submit(**options)
    assert await nothing_was_written(house)


async def test_a_time_and_a_delay_together_are_refused(house: House) -> None:
    with pytest.raises(InvalidInput, match="delay or run_at"):
        await house.submit(delay=SECOND, run_at=house.clock.now())
    with pytest.raises(InvalidInput, match="run_at"):
        await house.submit(run_at=house.clock.now() + MAX_DELAY + SECOND)


async def test_params_may_have_so_many_bytes_and_no_more(house: House) -> None:
    most = "ñ" * (MAX_PARAMS_BYTES // 2 - 1)

    assert (await house.submit(most)).params == most
    with pytest.raises(TooLarge, match=str(MAX_PARAMS_BYTES)):
        await house.submit(most + "a")


@pytest.mark.parametrize("params", [float("nan"), {1: 2}, b"", {"a": {1}}, "\ud800", 2**53])
async def test_params_that_json_cannot_hold_are_refused(house: House, params: Any) -> None:
    with pytest.raises(NotJson):
        await house.submit(params)
    assert await nothing_was_written(house)


@given(st.timedeltas(timedelta(0), MAX_DELAY), st.timedeltas(timedelta(0), MAX_DELAY))
async def test_any_delay_and_time_to_live_within_the_limits_is_kept(delay: timedelta, ttl: timedelta) -> None:
    house = House()
    house.handle(work)
    job = await house.submit(delay=delay, ttl=ttl)

    assert job.expires_at is not None
    assert job.due_at is not None
    assert job.expires_at - job.due_at == ttl


async def test_a_queue_that_nobody_declared_is_refused(house: House) -> None:
    with pytest.raises(InvalidInput, match=r"There is no queue 'mine'; known are .*agent_tasks"):
        await house.submit(queue="mine")
