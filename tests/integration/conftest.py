"""Servers for integration tests."""

import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from processes import DevServer
from redis import Redis
from seed_like_client import SeedLikeClient

from encola.testing.servers import RabbitServer, RedisServer, ServersMissing


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., DevServer]]:
    """Return a function that starts an ``encola dev``; keywords are its environment."""
    servers: list[DevServer] = []

    def start(**environment: str) -> DevServer:
        folder = tmp_path / f"server-{len(servers)}"
        folder.mkdir()
        server = DevServer(folder, **environment)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.kill9()


@pytest.fixture
def dev_server(start_server: Callable[..., DevServer]) -> DevServer:
    """Return a server of this test's own, with the handlers of ``jobs_app``."""
    return start_server()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """Return a server that the tests of one module share and do not stop."""
    server = DevServer(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill9()


@pytest.fixture
async def api(shared_server: DevServer) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the module's server, at the base of its API."""
    async with httpx.AsyncClient(base_url=f"{shared_server.url}/api", timeout=30) as client:
        yield client


@pytest.fixture
def watcher(shared_server: DevServer) -> SeedLikeClient:
    """Return a client as the first ones were."""
    return SeedLikeClient(f"{shared_server.url}/api", pace=0.01)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Return a Redis that the tests share: one that stops or fills it starts its own."""
    # Nothing of it outlives the session, so nobody waits for the disk.
    with installed(lambda: RedisServer(tmp_path_factory.mktemp("redis"), fsync="everysec")) as server:
        yield server


@pytest.fixture(scope="session")
def rabbit_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """Return a RabbitMQ that the tests share: one that stops or fills it starts its own."""
    with installed(lambda: RabbitServer(tmp_path_factory.mktemp("rabbit"))) as server:
        yield server


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a Redis that holds nothing of Encola; ``ENCOLA_TEST_REDIS_URL`` names another."""
    given = os.environ.get("ENCOLA_TEST_REDIS_URL")
    url: str = given or request.getfixturevalue("redis_server").url
    with Redis.from_url(url) as client:
        if given is None:
            client.flushall()
        else:
            for key in client.scan_iter("encola:*", count=1000):
                client.unlink(key)
    return url


@pytest.fixture
def amqp_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a RabbitMQ; ``ENCOLA_TEST_AMQP_URL`` names another than the shared one."""
    return os.environ.get("ENCOLA_TEST_AMQP_URL") or str(request.getfixturevalue("rabbit_server").url)


@pytest.fixture
def queue_prefix() -> str:
    """Return the beginning of queue names that no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}."


Server = TypeVar("Server", RedisServer, RabbitServer)


def installed(make: Callable[[], Server]) -> Server:
    """Return the server, or skip the test if there is none on this machine; in CI that is a failure."""
    try:
        return make()
    except ServersMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
