import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encola.application.single_flight import SingleFlight


class Work:
    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.cancelled = 0
        self.may_end = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, key: str) -> str:
        self.begun[key] += 1
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return f"answer to {key}"


async def test_a_thousand_callers_share_one_piece_of_work() -> None:
    work, flights = Work(), SingleFlight[str]()
    callers = [asyncio.create_task(flights("a", lambda: work("a"))) for _ in range(1000)]
    await asyncio.sleep(0)
    work.may_end.set()
    answers = await asyncio.gather(*callers)

    assert work.begun == {"a": 1}
    assert {answer for answer, _ in answers} == {"answer to a"}
    assert [is_shared for _, is_shared in answers].count(False) == 1
    assert len(flights) == 0


async def test_what_it_raises_is_raised_to_all_and_not_kept() -> None:
    work, flights = Work(), SingleFlight[str]()
    work.error = ValueError("no")
    work.may_end.set()
    outcomes = await asyncio.gather(
        *(flights("a", lambda: work("a")) for _ in range(3)), return_exceptions=True
    )
    work.error = None

    assert [type(outcome) for outcome in outcomes] == [ValueError] * 3
    assert await flights("a", lambda: work("a")) == ("answer to a", False)


async def test_work_that_nobody_waits_for_is_cancelled() -> None:
    work, flights = Work(), SingleFlight[str]()
    callers = [asyncio.create_task(flights("a", lambda: work("a"))) for _ in range(3)]
    await asyncio.sleep(0)
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    await asyncio.sleep(0)

    assert work.cancelled == 1
    assert len(flights) == 0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_whoever_leaves_changes_nothing_for_the_others(callers: list[tuple[str, bool]]) -> None:
    asyncio.run(_leave(callers))


async def _leave(callers: list[tuple[str, bool]]) -> None:
    work, flights = Work(), SingleFlight[str]()

    async def ask(key: str) -> str:
        return (await flights(key, lambda: work(key)))[0]

    tasks = [asyncio.create_task(ask(key)) for key, _ in callers]
    await asyncio.sleep(0)
    for task, (_, leaves) in zip(tasks, callers, strict=True):
        if leaves:
            task.cancel()
    await asyncio.sleep(0)
    work.may_end.set()
    for task, (key, leaves) in zip(tasks, callers, strict=True):
        if leaves:
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            assert await task == f"answer to {key}"
    assert all(count == 1 for count in work.begun.values())
    assert len(flights) == 0
