"""Jobs run side by side, within bounds, and the broker is told once a turn."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from encola.adapters.celery import runner as runner_module
from encola.adapters.celery.runner import Delivery, JobRunner, Outcome
from encola.domain.job import Job
from encola.testing.builders import a_job

VARIABLE = ContextVar("variable", default="nothing")


class Bench:
    """A runner, the jobs it began, and what it told the broker."""

    def __init__(self, places: int, run: Callable[[Job], Coroutine[Any, Any, None]] | None = None) -> None:
        self.begun: list[Job] = []
        self.told: list[Outcome] = []
        self.was_told = asyncio.Event()
        self.may_end = asyncio.Event()
        self.runner = JobRunner(run or self._run, asyncio.get_running_loop(), places, self._hear)

    def _hear(self, outcome: Outcome) -> None:
        self.told.append(outcome)
        self.was_told.set()

    async def _run(self, job: Job) -> None:
        self.begun.append(job)
        await self.may_end.wait()

    def accept(self, count: int, *, is_early: bool = False) -> None:
        """Deliver so many jobs; the message of each is its number."""
        self.runner.accept([Delivery(number, a_job(number), is_early) for number in range(count)])

    @property
    def done(self) -> list[int]:
        """Return the messages that were acknowledged."""
        return [message for outcome in self.told for message in outcome.done]

    @property
    def returned(self) -> list[int]:
        """Return the messages that went back."""
        return [message for outcome in self.told for message in outcome.returned]

    @property
    def ended(self) -> int:
        """Return how many deliveries are over."""
        return sum(outcome.ended for outcome in self.told)


async def turns(count: int = 5) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_no_more_jobs_run_than_there_are_places() -> None:
    bench = Bench(places=2)

    bench.accept(5)
    await turns()

    assert len(bench.begun) == 2
    bench.may_end.set()
    await turns(20)
    assert (len(bench.begun), sorted(bench.done)) == (5, [0, 1, 2, 3, 4])


async def test_a_job_that_waited_sees_nothing_of_the_one_before() -> None:
    seen: list[str] = []

    async def run(job: Job) -> None:
        seen.append(VARIABLE.get())
        VARIABLE.set(job.id)

    bench = Bench(places=1, run=run)
    bench.accept(3)
    await turns(20)

    assert seen == ["nothing"] * 3


async def test_a_message_is_done_when_its_job_has_ended() -> None:
    bench = Bench(places=1)
    bench.accept(1)
    await turns()
    assert (bench.done, bench.ended) == ([], 0)

    bench.may_end.set()
    await turns()

    assert (bench.done, bench.ended) == ([0], 1)


async def test_the_message_of_a_long_job_is_done_when_it_starts() -> None:
    bench = Bench(places=1)

    bench.accept(2, is_early=True)
    await turns()

    assert (bench.done, bench.ended) == ([0], 0)
    bench.may_end.set()
    await turns(10)
    assert (bench.done, bench.ended) == ([0, 1], 2)


async def test_what_ends_together_is_told_together() -> None:
    bench = Bench(places=100)
    bench.accept(100)
    await turns()

    bench.may_end.set()
    await turns()

    assert [outcome.ended for outcome in bench.told] == [100]


async def test_a_cancelled_job_goes_back() -> None:
    bench = Bench(places=1)
    bench.accept(1)
    await turns()

    bench.runner.cancel()
    await turns()

    assert (bench.done, bench.returned, bench.ended) == ([], [0], 1)


async def test_a_job_cancelled_before_its_first_step_goes_back() -> None:
    bench = Bench(places=1)
    bench.accept(1)

    bench.runner.cancel()
    await turns()

    assert (bench.begun, bench.returned, bench.ended) == ([], [0], 1)


async def test_a_cancelled_long_job_is_told_no_more_of() -> None:
    bench = Bench(places=1)
    bench.accept(1, is_early=True)
    await turns()

    bench.runner.cancel()
    await turns()

    assert (bench.done, bench.returned, bench.ended) == ([0], [], 1)


async def test_what_waits_can_be_given_up() -> None:
    bench = Bench(places=1)
    bench.accept(3)
    await turns()

    bench.runner.return_waiting()
    await turns()

    assert (len(bench.begun), bench.returned, bench.ended) == (1, [1, 2], 2)


async def test_what_waits_too_long_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "WAIT_SECONDS", 0.01)
    bench = Bench(places=1)
    bench.accept(2)

    async with asyncio.timeout(5):
        await bench.was_told.wait()

    assert (len(bench.begun), bench.returned) == (1, [1])


async def test_a_run_that_raises_ends_its_delivery_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def run(job: Job) -> None:
        if job == a_job(0):
            raise RuntimeError("a bug")

    bench = Bench(places=1, run=run)
    bench.accept(2)
    await turns(10)

    assert (bench.done, bench.ended) == ([0, 1], 2)
    assert "could not run it" in caplog.text
