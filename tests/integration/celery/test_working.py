"""A worker runs what it is given, within its bounds, and stops as it is told."""

import asyncio
import json
import time
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from celery_workers import Broker, WorkerThread, publishing, until, working

from encola.adapters.celery import app as app_module
from encola.adapters.celery.message import RUN, STANDARD_HEADERS, task_message
from encola.domain.errors import InvalidSettings
from encola.domain.job import Job
from encola.testing.builders import a_job, an_id

AGENT = ["agent_tasks"]
LONG = timedelta(hours=1)


class Jobs:
    """What happens to the jobs: each runs until it may end."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.cancelled: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.may_end = asyncio.Event()

    async def run(self, job: Job) -> None:
        """Run until ``may_end`` is set."""
        self.begun.append(job.id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.may_end.wait()
            self.ended.append(job.id)
        except asyncio.CancelledError:
            self.cancelled.append(job.id)
            raise
        finally:
            self.at_once -= 1


@pytest.fixture
def jobs() -> Jobs:
    """Return jobs that run until they may end."""
    return Jobs()


async def publish(url: str, count: int, **fields: Any) -> None:
    """Put so many jobs into the queue."""
    async with publishing(url, window=1_000) as queue:
        await asyncio.gather(*(queue.publish(a_job(number, **fields)) for number in range(1, count + 1)))


async def test_no_more_jobs_run_than_are_allowed(url: str, broker: Broker, jobs: Jobs) -> None:
    await publish(url, 20)

    async with working(url, jobs.run, queues=AGENT, concurrency=3):
        await until(lambda: len(jobs.begun) == 3)
        assert await broker.depth("agent_tasks") == 17
        jobs.may_end.set()
        await until(lambda: len(jobs.ended) == 20)

    assert jobs.most_at_once == 3


async def test_a_thousand_jobs_run_side_by_side_each_in_a_context_of_its_own(url: str) -> None:
    variable: ContextVar[str] = ContextVar("variable")
    found: list[tuple[str, str]] = []
    begun: list[str] = []
    everybody_is_here = asyncio.Event()

    async def run(job: Job) -> None:
        found.append((variable.get("nothing"), "nothing"))
        variable.set(job.id)
        begun.append(job.id)
        if len(begun) == 1_000:
            everybody_is_here.set()
        await everybody_is_here.wait()
        found.append((variable.get(), job.id))

    await publish(url, 1_000)
    async with working(url, run, queues=AGENT, concurrency=1_000):
        await until(lambda: len(found) == 2_000)

    assert [got for got, wanted in found if got != wanted] == []


async def test_only_the_queues_that_were_named_are_read(url: str, broker: Broker, jobs: Jobs) -> None:
    jobs.may_end.set()
    await publish(url, 1, queue="query_tasks")
    await publish(url, 1)

    async with working(url, jobs.run, queues=AGENT):
        await until(lambda: jobs.ended)

    assert await broker.depth("query_tasks") == 1


async def test_a_message_is_kept_until_its_job_has_ended(url: str, broker: Broker, jobs: Jobs) -> None:
    await publish(url, 1)
    async with working(url, jobs.run, queues=AGENT):
        await until(lambda: jobs.begun)

    assert await broker.depth("agent_tasks") == 1


async def test_the_message_of_a_long_job_is_gone_when_it_starts(url: str, broker: Broker, jobs: Jobs) -> None:
    await publish(url, 1, timeout=LONG)
    async with working(url, jobs.run, queues=AGENT):
        await until(lambda: jobs.begun)
        await asyncio.sleep(0.3)  # the acknowledgement goes out behind the start

    assert await broker.depth("agent_tasks") == 0


async def test_long_jobs_do_not_pile_up(url: str, broker: Broker, jobs: Jobs) -> None:
    await publish(url, 20, timeout=LONG)

    async with working(url, jobs.run, queues=AGENT, concurrency=3):
        await until(lambda: len(jobs.begun) == 3)
        await asyncio.sleep(0.5)
        assert len(jobs.begun) == 3
        jobs.may_end.set()
        await until(lambda: len(jobs.ended) == 20)


async def test_every_copy_of_a_message_is_done_with(url: str, broker: Broker, jobs: Jobs) -> None:
    jobs.may_end.set()
    async with publishing(url) as queue:
        for _ in range(3):
            await queue.publish(a_job())

    async with working(url, jobs.run, queues=AGENT) as worker:
        await until(lambda: len(jobs.ended) == 3)
        await worker.stop()

    assert await broker.depth("agent_tasks") == 0


async def test_what_runs_may_end_when_the_worker_stops(url: str, broker: Broker, jobs: Jobs) -> None:
    await publish(url, 5)
    async with working(url, jobs.run, queues=AGENT, drain_seconds=10) as worker:
        await until(lambda: len(jobs.begun) == 5)
        worker.worker.stop()
        await asyncio.sleep(1)
        await publish(url, 1)
        jobs.may_end.set()
        await worker.ended()

    assert len(jobs.ended) == 5
    assert await broker.depth("agent_tasks") == 1


async def test_what_does_not_end_in_time_goes_to_another_worker(url: str, broker: Broker, jobs: Jobs) -> None:
    await publish(url, 5)
    async with working(url, jobs.run, queues=AGENT, drain_seconds=0.5) as worker:
        await until(lambda: len(jobs.begun) == 5)
        assert await worker.stop() < 3

    assert len(jobs.cancelled) == 5
    assert await broker.depth("agent_tasks") == 5


async def test_a_job_that_heeds_no_cancelling_cannot_hold_up_the_end(
    url: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("encola.adapters.celery.pool.HAND_BACK_SECONDS", 0.5)
    begun = asyncio.Event()
    may_end = asyncio.Event()

    async def stubborn(job: Job) -> None:
        begun.set()
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue

    await publish(url, 1)
    async with working(url, stubborn, queues=AGENT, drain_seconds=0.1) as worker:
        await begun.wait()
        assert await worker.stop() < 3
        may_end.set()

    assert await broker.depth("agent_tasks") == 1


async def test_acknowledgements_and_heartbeats_go_out_while_it_drains(
    url: str, broker: Broker, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app_module.SETTINGS, "broker_heartbeat", 1)
    first_may_end = asyncio.Event()

    async def run(job: Job) -> None:
        if job.id == an_id(1):
            await first_may_end.wait()
        else:
            await jobs.run(job)

    await publish(url, 2)
    async with working(url, run, queues=AGENT, drain_seconds=20) as worker:
        await until(lambda: jobs.begun)
        worker.worker.stop()
        await asyncio.sleep(5)  # the broker would give up on it within three heartbeats
        first_may_end.set()
        jobs.may_end.set()
        await worker.ended()

    assert await broker.depth("agent_tasks") == 0


async def test_a_blocked_loop_costs_no_connection(
    url: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app_module.SETTINGS, "broker_heartbeat", 1)
    begun: list[str] = []

    async def run(job: Job) -> None:
        begun.append(job.id)
        time.sleep(5)  # noqa: ASYNC251  as a handler should not

    await publish(url, 1)
    async with working(url, run, queues=AGENT) as worker:
        await until(lambda: begun)
        await worker.stop()

    assert len(begun) == 1
    assert await broker.depth("agent_tasks") == 0


async def test_an_idle_worker_stops_at_once(url: str, jobs: Jobs) -> None:
    async with working(url, jobs.run, queues=AGENT) as worker:
        assert await worker.stop() < 2


def junk(**changes: Any) -> dict[str, Any]:
    """Return a message as good as ours but for these changes."""
    message = task_message(a_job(), early_ack_after=LONG)
    good: dict[str, Any] = {
        "body": message.body,
        "headers": {**STANDARD_HEADERS, **message.headers},
        "content_type": "application/json",
        "content_encoding": "utf-8",
    }
    return {**good, **changes}


def with_header(name: str, value: object) -> dict[str, Any]:
    """Return a message of which one header is wrong."""
    good = junk()
    return {**good, "headers": {**good["headers"], name: value}}


JUNK: dict[str, dict[str, Any]] = {
    "no JSON": junk(body=b"secret {"),
    "no UTF-8": junk(body=b"\xff\xfe secret"),
    "empty": junk(body=b""),
    "other JSON": junk(body=json.dumps({"secret": 1}).encode()),
    "no record": junk(body=json.dumps([["secret"], {}, {}]).encode()),
    "a pickle": junk(content_type="application/x-python-serialize"),
    "no content type": junk(content_type=None),
    "no headers": junk(headers=None),
    "compressed with nothing known": with_header("compression", "secret"),
    "another task": with_header("task", "secret.task"),
    "a task of no name": with_header("task", 7),
    "another tenant": with_header("tenant_id", "secret"),
    "another id": with_header("id", "secret"),
    "the older protocol": junk(
        headers=None, body=json.dumps({"task": RUN, "id": "1", "args": ["secret"], "kwargs": {}}).encode()
    ),
}


@pytest.mark.parametrize("message", JUNK.values(), ids=JUNK.keys())
async def test_a_message_that_is_no_job_is_dropped(
    url: str, broker: Broker, jobs: Jobs, caplog: pytest.LogCaptureFixture, message: dict[str, Any]
) -> None:
    jobs.may_end.set()
    await broker.declare("agent_tasks", **{"x-queue-type": "classic"})
    await broker.put("agent_tasks", **message)
    await publish(url, 1)

    async with working(url, jobs.run, queues=AGENT) as worker:
        await until(lambda: jobs.ended)
        await worker.stop()

    assert jobs.ended == [an_id(1)]
    assert worker.worker.dropped == 1
    assert await broker.depth("agent_tasks") == 0
    assert "dropped" in caplog.text
    assert "secret" not in caplog.text


async def test_what_is_no_job_becomes_a_dead_letter_of_a_quorum_queue(
    url: str, broker: Broker, jobs: Jobs
) -> None:
    async with publishing(url, queue_type="quorum") as queue:
        await queue.publish(a_job())
    await broker.put("agent_tasks", b"{", content_type="application/json")
    jobs.may_end.set()

    async with working(url, jobs.run, queues=AGENT, queue_type="quorum") as worker:
        await until(lambda: worker.worker.dropped == 1)
        await worker.stop()

    await broker.until_depth("encola.dead", 1)


async def test_a_queue_of_the_other_kind_is_told_and_not_waited_for(
    url: str, broker: Broker, jobs: Jobs
) -> None:
    await broker.declare("agent_tasks", **{"x-queue-type": "quorum"})
    worker = WorkerThread(url, jobs.run, queues=AGENT, queue_type="classic").start_soon()

    await worker.ended()

    assert isinstance(worker.error, InvalidSettings)
    assert "ENCOLA_QUEUE_TYPE" in str(worker.error)


async def test_what_other_celery_applications_are_told_is_not_for_it(
    url: str, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://nobody:nothing@127.0.0.1:1/")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "redis://127.0.0.1:1/0")
    jobs.may_end.set()
    await publish(url, 1)

    async with working(url, jobs.run, queues=AGENT):
        await until(lambda: jobs.ended)


async def test_tasks_of_other_applications_in_the_process_are_not_run(
    url: str, broker: Broker, jobs: Jobs
) -> None:
    app = Celery("users", set_as_current=False)

    @app.task(name="users.task")
    def users_task() -> None:
        raise AssertionError("it was run")

    app.finalize()
    await broker.declare("agent_tasks", **{"x-queue-type": "classic"})
    await broker.put("agent_tasks", **with_header("task", "users.task"))

    async with working(url, jobs.run, queues=AGENT) as worker:
        await until(lambda: worker.worker.dropped == 1)
