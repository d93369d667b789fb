"""A worker process heeds signals, and its death loses nothing."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery_workers import Broker, WorkerProcess, publishing, until

from encola.testing.builders import a_job, an_id


@pytest.fixture
def start_worker(url: str, tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Return a function that starts a worker process."""
    workers: list[WorkerProcess] = []

    def start(**options: Any) -> WorkerProcess:
        workers.append(WorkerProcess(url, tmp_path / f"notes-{len(workers)}", **options))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()


async def publish(url: str, *seconds: float) -> None:
    """Publish jobs that take so long, numbered from 1."""
    async with publishing(url) as queue:
        for number, duration in enumerate(seconds, start=1):
            await queue.publish(a_job(number, params=duration))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
async def test_an_idle_worker_ends_within_two_seconds(
    start_worker: Callable[..., WorkerProcess], number: signal.Signals
) -> None:
    worker = start_worker()
    await worker.until_noted("ready")

    worker.send(number)

    assert await worker.ended() < 2
    assert worker.noted()[-1] == "returned"
    assert worker.process.returncode == 0


async def test_a_worker_that_is_told_to_end_lets_its_jobs_end(
    url: str, broker: Broker, start_worker: Callable[..., WorkerProcess]
) -> None:
    worker = start_worker()
    await publish(url, 2.0)
    await worker.until_noted(f"began {an_id(1)}")

    worker.send(signal.SIGTERM)
    await worker.ended()

    assert worker.noted()[-2:] == [f"ended {an_id(1)}", "returned"]
    assert await broker.depth("agent_tasks") == 0


@pytest.mark.parametrize("numbers", [[signal.SIGTERM, signal.SIGTERM], [signal.SIGQUIT]])
async def test_a_worker_that_is_urged_leaves_its_messages_to_others(
    url: str, broker: Broker, start_worker: Callable[..., WorkerProcess], numbers: list[signal.Signals]
) -> None:
    worker = start_worker(drain_seconds=60)
    await publish(url, 60.0)
    await worker.until_noted(f"began {an_id(1)}")

    for number in numbers[:-1]:
        worker.send(number)
        with pytest.raises(AssertionError):
            await worker.ended(seconds=1)
    worker.send(numbers[-1])

    assert await worker.ended() < 3
    assert f"cancelled {an_id(1)}" not in worker.noted()
    assert await broker.depth("agent_tasks") == 1


async def test_the_jobs_of_a_killed_worker_go_to_another(
    url: str, start_worker: Callable[..., WorkerProcess]
) -> None:
    killed = start_worker()
    await publish(url, *[0.5] * 10)
    await until(lambda: sum(note.startswith("began") for note in killed.noted()) == 10)
    killed.kill()

    other = start_worker()

    await until(lambda: sum(note.startswith("ended") for note in other.noted()) == 10)
