"""RabbitMQ over TLS: its certificate is checked, and everything else is as without."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery_workers import WorkerThread, publishing, until, working

from encola.adapters.celery import CeleryJobQueue
from encola.domain.job import Job
from encola.testing.builders import a_job
from encola.testing.servers import RabbitServer, free_ports

CERTIFICATES = Path(__file__).with_name("tls")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the host and port at which a RabbitMQ speaks TLS."""
    (port,) = free_ports(1)
    options = {
        "listeners.ssl.default": f"127.0.0.1:{port}",
        "ssl_options.certfile": str(CERTIFICATES / "server.pem"),
        "ssl_options.keyfile": str(CERTIFICATES / "server.key"),
    }
    with RabbitServer(tmp_path_factory.mktemp("tls"), options=options):
        yield f"localhost:{port}"


@pytest.mark.parametrize("query", [f"cafile={CERTIFICATES / 'ca.pem'}", "no_verify_ssl=1"])
async def test_jobs_travel_encrypted(place: str, query: str) -> None:
    url = f"amqps://guest:guest@{place}/?{query}"
    ended: list[Job] = []

    async def run(job: Job) -> None:
        ended.append(job)

    async with publishing(url) as queue, working(url, run, queues=["agent_tasks"]) as worker:
        for number in range(200):
            queue.post(a_job(number, params="x" * 1_000 * (number % 40)))
        await until(lambda: len(ended) == 200)
        await worker.stop()


async def test_a_broker_that_nobody_vouches_for_gets_nothing(place: str) -> None:
    url = f"amqps://guest:guest@{place}/"
    worker = WorkerThread(url, asyncio.sleep, queues=["agent_tasks"]).start_soon()
    queue = CeleryJobQueue(url)
    await queue.open()

    await asyncio.sleep(1)  # in which they try

    assert queue.capacity() == 0
    assert not worker.ready.is_set()
    await queue.close()
    await worker.stop()
