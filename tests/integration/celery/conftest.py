"""RabbitMQ for tests: one that all share, and one that a test may break."""

from collections.abc import AsyncIterator, Iterator

import pytest
from celery_workers import Broker

from encola.testing.servers import RabbitServer

QUEUES = ("agent_tasks", "query_tasks")


@pytest.fixture(scope="session")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """Return a running RabbitMQ that ends with the session."""
    with RabbitServer(tmp_path_factory.mktemp("rabbit")) as server:
        yield server


@pytest.fixture
async def broker(rabbit: RabbitServer) -> Broker:
    """Return a handle on the shared RabbitMQ, without any of our queues."""
    broker = Broker(rabbit.url)
    await broker.delete(*QUEUES, "encola.dead")
    return broker


@pytest.fixture
def url(rabbit: RabbitServer, broker: Broker) -> str:
    """Return the URL of the shared RabbitMQ, which has none of our queues."""
    return rabbit.url


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """Return a RabbitMQ that the tests of one module stop, pause and start; it runs before each."""
    with RabbitServer(tmp_path_factory.mktemp("breakable")) as server:
        yield server


@pytest.fixture
async def fragile(breakable: RabbitServer) -> AsyncIterator[RabbitServer]:
    """Return a running RabbitMQ that this test may stop, pause and start, without any of our queues."""
    if not breakable.is_running:
        breakable.start()
    await Broker(breakable.url).delete(*QUEUES)
    yield breakable
    if breakable.is_running:
        breakable.resume()
