"""Publishing keeps its promises when RabbitMQ does not."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest
from celery_workers import PATIENCE, Broker, publish_when_possible, publishing, until

from encola.adapters.celery import CeleryJobQueue
from encola.domain.errors import Overloaded
from encola.testing.builders import a_job
from encola.testing.servers import RabbitServer


async def publish_for_ever(queue: CeleryJobQueue) -> None:
    """Publish one job after the other."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await queue.publish(a_job())


async def test_opening_waits_for_nobody_and_recovers_by_itself(tmp_path: Path) -> None:
    server = RabbitServer(tmp_path)
    queue = CeleryJobQueue(server.url)
    await queue.open()
    assert queue.capacity() == 0
    with pytest.raises(Overloaded):
        await queue.publish(a_job())

    with server:
        await until(queue.capacity)
        await queue.publish(a_job())
        assert await Broker(server.url).depth("agent_tasks") == 1
        await queue.close()


async def test_a_broker_that_is_away_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = RabbitServer(tmp_path)
    queue = CeleryJobQueue(server.url)
    await queue.open()
    await asyncio.sleep(1)  # in which it tries several times
    await queue.close()

    assert len(caplog.records) == 1
    assert "guest:guest" not in caplog.text


async def test_what_was_posted_outlives_the_brokers_death(fragile: RabbitServer) -> None:
    async with publishing(fragile.url) as queue:
        await queue.publish(a_job(1))
        for number in range(2, 50):
            queue.post(a_job(number))
        fragile.kill()
        await until(lambda: not queue.capacity())

        await asyncio.to_thread(fragile.start)

        await until(lambda: queue.capacity() == 256)
        assert await Broker(fragile.url).depth("agent_tasks") >= 48


async def test_publishing_to_a_dead_broker_fails_soon_and_recovers(fragile: RabbitServer) -> None:
    async with publishing(fragile.url) as queue:
        fragile.kill()
        began = time.monotonic()
        with pytest.raises(Overloaded):
            await queue.publish(a_job())
        assert time.monotonic() - began < 6

        await asyncio.to_thread(fragile.start)

        await publish_when_possible(queue, a_job())


async def test_a_frozen_broker_costs_the_publish_timeout_and_no_more(fragile: RabbitServer) -> None:
    async with publishing(fragile.url, window=10, publish_timeout=timedelta(seconds=0.5)) as queue:
        await queue.publish(a_job())
        fragile.pause()
        began = time.monotonic()
        outcomes = await asyncio.gather(
            *(queue.publish(a_job(number)) for number in range(30)), return_exceptions=True
        )

        assert {type(outcome) for outcome in outcomes} == {Overloaded}
        assert time.monotonic() - began < 2
        assert queue.capacity() <= 0

        fragile.resume()
        await until(lambda: queue.capacity() == 10)
        await queue.publish(a_job())


async def test_an_alarm_costs_the_publish_timeout_and_loses_nothing(
    rabbit: RabbitServer, broker: Broker
) -> None:
    async with publishing(rabbit.url, publish_timeout=timedelta(seconds=1)) as queue:
        await queue.publish(a_job())
        await asyncio.to_thread(rabbit.ctl, "set_vm_memory_high_watermark", "0.00001")
        try:
            with pytest.raises(Overloaded):
                await publish_for_ever(queue)  # the alarm is raised a moment after it is asked for
            queue.post(a_job())
        finally:
            await asyncio.to_thread(rabbit.ctl, "set_vm_memory_high_watermark", "0.8")

        await until(lambda: queue.capacity() == 256)
        await queue.publish(a_job())


async def test_a_deleted_queue_is_made_again(url: str, broker: Broker) -> None:
    async with publishing(url) as queue:
        await queue.publish(a_job())
        await broker.delete("agent_tasks")

        await publish_when_possible(queue, a_job())

        assert await broker.depth("agent_tasks") == 1


async def test_a_queue_is_full_when_enough_waits_in_it(url: str, broker: Broker) -> None:
    async with publishing(url, publish_ahead=3) as queue:
        for number in range(3):
            assert queue.full() == frozenset()
            await queue.publish(a_job(number))
        await queue.publish(a_job(queue="query_tasks"))
        assert queue.full() == {"agent_tasks"}

        await asyncio.sleep(1)  # in which it is counted, and still is full
        assert queue.full() == {"agent_tasks"}
        await broker.purge("agent_tasks")

        await until(lambda: queue.full() == frozenset())


async def test_what_others_published_counts_too(url: str) -> None:
    async with publishing(url, publish_ahead=3) as queue, publishing(url) as other:
        for number in range(3):
            await other.publish(a_job(number))
        await queue.publish(a_job(4))

        await until(lambda: queue.full() == {"agent_tasks"})


async def test_closing_lets_go_of_nothing(url: str, broker: Broker) -> None:
    async with publishing(url) as queue:
        for number in range(200):
            queue.post(a_job(number))

    assert await broker.depth("agent_tasks") == 200


async def test_a_queue_of_another_kind_is_published_to_all_the_same(url: str, broker: Broker) -> None:
    await broker.declare("agent_tasks", **{"x-max-length": 50})

    async with publishing(url) as queue:
        await queue.publish(a_job())

    assert await broker.depth("agent_tasks") == 1


async def test_a_job_of_which_no_message_can_be_made_harms_no_other(
    url: str, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    async with publishing(url) as queue:
        queue.post(a_job(1, queue="q" * 256))
        with pytest.raises(Overloaded):
            await queue.publish(a_job(2, queue="q" * 256))
        await queue.publish(a_job(3))

    assert await broker.depth("agent_tasks") == 1
    assert "RabbitMQ refused it" in caplog.text


async def test_a_job_as_large_as_they_may_be_arrives(url: str, broker: Broker) -> None:
    async with publishing(url) as queue:
        await queue.publish(a_job(params="✓" * 250_000))

    assert await broker.depth("agent_tasks") == 1
