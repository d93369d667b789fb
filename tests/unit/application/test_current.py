"""The context of the work that runs: nobody else's, and gone when the work is."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.application.current import current_context, current_deadline, running_in
from encola.application.threads import HandlerThreads
from encola.domain.context import ExecutionContext, TenantId
from encola.testing.builders import ACME, GLOBEX, after
from encola.testing.strategies import contexts

Current: TypeAlias = tuple[ExecutionContext | None, datetime | None]


class Flaw(Exception):
    """What some work ends with."""


@dataclass(frozen=True)
class Work:
    """Work in a context, and what is begun from it: one after the other, or side by side."""

    context: ExecutionContext
    deadline: datetime | None
    parts: "tuple[Work, ...]"
    is_together: bool
    pauses: int
    fails: bool


def work_of(parts: st.SearchStrategy[tuple[Work, ...]]) -> st.SearchStrategy[Work]:
    return st.builds(
        Work,
        context=contexts(),
        deadline=st.none() | st.integers(0, 1000).map(after),
        parts=parts,
        is_together=st.booleans(),
        pauses=st.integers(0, 3),
        fails=st.booleans(),
    )


def works() -> st.SearchStrategy[Work]:
    return st.recursive(
        work_of(st.just(())), lambda part: work_of(st.lists(part, max_size=3).map(tuple)), max_leaves=6
    )


def current() -> Current:
    return current_context(), current_deadline()


async def run(work: Work, outside: Current) -> None:
    """Do the work, and hold at every step what is current against what has to be."""
    assert current() == outside
    try:
        with running_in(work.context, work.deadline):
            await run_parts(work, (work.context, work.deadline))
            if work.fails:
                raise Flaw
    except Flaw:
        pass
    assert current() == outside


async def run_parts(work: Work, here: Current) -> None:
    assert current() == here
    tasks = [asyncio.create_task(run(part, here)) for part in work.parts if work.is_together]
    for part in () if work.is_together else work.parts:
        await run(part, here)
        assert current() == here
    for _ in range(work.pauses):
        await asyncio.sleep(0)
        assert current() == here
    await asyncio.gather(*tasks)
    assert current() == here


@given(st.lists(works(), min_size=1, max_size=4))
def test_tasks_side_by_side_and_one_in_the_other_never_see_each_others_context(work: list[Work]) -> None:
    async def all_of_it() -> None:
        await asyncio.gather(*(run(part, (None, None)) for part in work))

    asyncio.run(all_of_it())

    assert current() == (None, None)


@given(works())
def test_after_the_work_everything_is_as_it_was_before(work: Work) -> None:
    outer = (ExecutionContext(tenant_id=ACME, request_id="outer"), after(1))

    async def from_within() -> Current:
        with running_in(*outer):
            await run(work, outer)
            return current()

    assert asyncio.run(from_within()) == outer


async def test_a_task_that_is_cancelled_leaves_no_context_behind() -> None:
    begun = asyncio.Event()
    seen: list[Current] = []

    async def work() -> None:
        try:
            with running_in(ExecutionContext(tenant_id=GLOBEX), after(1)):
                begun.set()
                await asyncio.Event().wait()
        finally:
            seen.append(current())

    with running_in(ExecutionContext(tenant_id=ACME)):
        here = current()
        task = asyncio.create_task(work())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert (seen, current()) == ([here], here)


async def test_a_task_keeps_the_context_in_which_it_was_begun() -> None:
    async def later() -> Current:
        await asyncio.sleep(0)
        return current()

    with running_in(ExecutionContext(tenant_id=ACME)):
        here = current()
        task = asyncio.create_task(later())
    with running_in(ExecutionContext(tenant_id=GLOBEX)):
        assert await task == here


async def test_a_thread_sees_the_context_of_whoever_started_it() -> None:
    threads = HandlerThreads(4)

    async def seen(tenant: TenantId) -> object:
        with running_in(ExecutionContext(tenant_id=tenant)):
            return await threads.run(current_context)

    found = await asyncio.gather(*(seen(tenant) for tenant in (ACME, GLOBEX) * 20))

    assert found == [ExecutionContext(tenant_id=tenant) for tenant in (ACME, GLOBEX)] * 20
