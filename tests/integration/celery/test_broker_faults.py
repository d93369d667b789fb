"""A worker outlives whatever happens to RabbitMQ."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from celery_workers import Broker, WorkerThread, publish_when_possible, publishing, until, working

from encola.adapters.celery import app as app_module
from encola.domain.job import Job
from encola.testing.builders import a_job, an_id
from encola.testing.servers import RabbitServer

AGENT = ["agent_tasks"]


class Jobs:
    """Jobs by id: a job whose params are ``null`` ends at once, another one when it may."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.may_end = asyncio.Event()

    async def run(self, job: Job) -> None:
        """Run the job."""
        self.begun.append(job.id)
        if job.params is not None:
            await self.may_end.wait()
        self.ended.append(job.id)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """Return jobs for workers that notice a silent broker within seconds."""
    monkeypatch.setitem(app_module.SETTINGS, "broker_heartbeat", 1)
    return Jobs()


async def test_a_worker_waits_for_a_broker_that_is_not_there_yet(tmp_path: Path, jobs: Jobs) -> None:
    server = RabbitServer(tmp_path)
    worker = WorkerThread(server.url, jobs.run, queues=AGENT).start_soon()
    await asyncio.sleep(1)  # in which it tries

    with server:
        async with publishing(server.url) as queue:
            await queue.publish(a_job())
            await until(lambda: jobs.ended)
        await worker.stop()

    assert worker.error is None


async def test_a_worker_without_a_broker_stops_when_told(tmp_path: Path, jobs: Jobs) -> None:
    server = RabbitServer(tmp_path)
    worker = WorkerThread(server.url, jobs.run, queues=AGENT).start_soon()
    await asyncio.sleep(0.5)  # in which it tries

    assert await worker.stop() < 4


async def test_a_job_goes_on_while_the_broker_is_restarted(fragile: RabbitServer, jobs: Jobs) -> None:
    async with publishing(fragile.url) as queue, working(fragile.url, jobs.run, queues=AGENT) as worker:
        await queue.publish(a_job(1, params="long"))
        await until(lambda: jobs.begun)

        await asyncio.to_thread(fragile.restart)
        await publish_when_possible(queue, a_job(2))
        await until(lambda: an_id(2) in jobs.ended)
        jobs.may_end.set()
        await worker.stop()

        # The message came again; in earnest the second copy finds the job claimed.
        assert set(jobs.begun) == set(jobs.ended) == {an_id(1), an_id(2)}
        assert await Broker(fragile.url).depth("agent_tasks") == 0


async def test_a_job_goes_on_when_the_broker_is_killed_and_wiped(fragile: RabbitServer, jobs: Jobs) -> None:
    async with publishing(fragile.url) as queue, working(fragile.url, jobs.run, queues=AGENT) as worker:
        await queue.publish(a_job(1, params="long"))
        await until(lambda: jobs.begun)

        fragile.wipe()
        await asyncio.to_thread(fragile.start)
        await publish_when_possible(queue, a_job(2))
        await until(lambda: an_id(2) in jobs.ended)
        jobs.may_end.set()
        await worker.stop()

    assert jobs.ended == [an_id(2), an_id(1)]


async def test_a_frozen_broker_is_noticed_and_work_goes_on_after(fragile: RabbitServer, jobs: Jobs) -> None:
    async with publishing(fragile.url) as queue, working(fragile.url, jobs.run, queues=AGENT):
        await queue.publish(a_job(1, params="long"))
        await until(lambda: jobs.begun)

        fragile.pause()
        await asyncio.sleep(4)  # longer than the worker hears nothing without giving up
        fragile.resume()
        jobs.may_end.set()
        await publish_when_possible(queue, a_job(2))

        await until(lambda: {an_id(1), an_id(2)} <= set(jobs.ended))


async def test_a_frozen_broker_cannot_hold_up_the_end(fragile: RabbitServer, jobs: Jobs) -> None:
    async with publishing(fragile.url) as queue, working(fragile.url, jobs.run, queues=AGENT) as worker:
        await queue.publish(a_job(1, params="long"))
        await until(lambda: jobs.begun)
        fragile.pause()
        jobs.may_end.set()

        assert await worker.stop() < 10
        fragile.resume()

    assert jobs.ended == [an_id(1)]


async def test_stopping_while_the_broker_is_away_lets_jobs_end(fragile: RabbitServer, jobs: Jobs) -> None:
    async with publishing(fragile.url) as queue, working(fragile.url, jobs.run, queues=AGENT) as worker:
        await queue.publish(a_job(1, params="long"))
        await until(lambda: jobs.begun)
        fragile.kill()
        worker.worker.stop()
        await asyncio.sleep(1)
        jobs.may_end.set()

        await worker.ended()

    assert jobs.ended == [an_id(1)]


async def test_a_queue_that_is_deleted_is_made_again(url: str, broker: Broker, jobs: Jobs) -> None:
    async with publishing(url) as queue, working(url, jobs.run, queues=AGENT):
        await queue.publish(a_job(1, params="long"))
        await until(lambda: jobs.begun)

        await broker.delete("agent_tasks")
        await publish_when_possible(queue, a_job(2))

        await until(lambda: an_id(2) in jobs.ended)
        jobs.may_end.set()
        await until(lambda: an_id(1) in jobs.ended)


async def test_a_queue_that_is_purged_costs_no_job_in_hand(url: str, broker: Broker, jobs: Jobs) -> None:
    async with publishing(url) as queue, working(url, jobs.run, queues=AGENT, concurrency=1):
        await queue.publish(a_job(1, params="long"))
        await until(lambda: jobs.begun)
        await queue.publish(a_job(2))

        await broker.purge("agent_tasks")
        jobs.may_end.set()
        await queue.publish(a_job(3))

        await until(lambda: an_id(3) in jobs.ended)
        assert jobs.ended == [an_id(1), an_id(3)]


async def test_an_alarm_does_not_hold_up_workers(rabbit: RabbitServer, url: str, jobs: Jobs) -> None:
    async with publishing(url) as queue:
        for number in range(1, 21):
            await queue.publish(a_job(number))
        await asyncio.to_thread(rabbit.ctl, "set_vm_memory_high_watermark", "0.00001")
        try:
            async with working(url, jobs.run, queues=AGENT, concurrency=2):
                await until(lambda: len(jobs.ended) == 20)
        finally:
            await asyncio.to_thread(rabbit.ctl, "set_vm_memory_high_watermark", "0.8")


@pytest.fixture
async def impatient(tmp_path: Path) -> AsyncIterator[str]:
    """Return the URL of a RabbitMQ that waits two seconds for an acknowledgement."""
    with RabbitServer(tmp_path, options={"consumer_timeout": "2000"}) as server:
        # It would look only once a minute.
        server.ctl("eval", "application:set_env(rabbit, channel_tick_interval, 500).")
        yield server.url


async def test_the_brokers_impatience_ends_neither_job_nor_worker(
    impatient: str, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"early_ack_after": timedelta(minutes=10)}
    async with (
        publishing(impatient, **options) as queue,
        working(impatient, jobs.run, queues=AGENT) as worker,
    ):
        late, early = a_job(1, params="long"), a_job(2, params="long", timeout=timedelta(minutes=20))
        await queue.publish(late)
        await queue.publish(early)
        await until(lambda: len(jobs.begun) == 2)

        await until(lambda: "PRECONDITION_FAILED" in caplog.text)
        await queue.publish(a_job(3))
        await until(lambda: an_id(3) in jobs.ended)
        jobs.may_end.set()
        await until(lambda: {an_id(1), an_id(2), an_id(3)} == set(jobs.ended))
        await worker.stop()

    assert jobs.begun.count(an_id(2)) == 1
    assert worker.error is None
