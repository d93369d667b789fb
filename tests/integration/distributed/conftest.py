"""Deployments of several processes, on servers that the session has."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deployment import Deployment, SharedDeployment
from processes import DevServer
from redis import Redis

from encola.entrypoints.demo_server import DEMO_SERVICES
from encola.testing.servers import RabbitServer, RedisServer


@pytest.fixture(scope="module")
def urls(redis_server: RedisServer, rabbit_server: RabbitServer) -> tuple[str, str]:
    """Return the URLs of an empty Redis and of a virtual host in which nothing waits."""
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    host = uuid.uuid4().hex
    rabbit_server.ctl("add_vhost", host)
    rabbit_server.ctl("set_permissions", "--vhost", host, "guest", ".*", ".*", ".*")
    return redis_server.url, f"{rabbit_server.url}{host}"


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return settings that name the demo services, which an embedded Encola serves."""
    server = DevServer(tmp_path_factory.mktemp("demo"))
    server.start("--json")
    base = json.loads(server.log.read_text().splitlines()[-1])["demo"]
    yield {f"ENCOLA_SERVICES__{name.upper()}": f"{base}/{name}" for name in DEMO_SERVICES}
    server.kill9()


@pytest.fixture(scope="module")
def shared_server(
    tmp_path_factory: pytest.TempPathFactory, urls: tuple[str, str], services: dict[str, str]
) -> Iterator[SharedDeployment]:
    """Return an API and a worker that the tests of one module share and do not stop."""
    folder = tmp_path_factory.mktemp("deployment")
    server = SharedDeployment(folder, *urls, **services)
    server.start()
    yield server
    server.kill9()


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Callable[..., Deployment]]:
    """Return a function that makes a deployment; it is killed at the end of the test."""
    deployments: list[Deployment] = []

    def make(redis_url: str, amqp_url: str, **environment: str) -> Deployment:
        deployments.append(Deployment(tmp_path, redis_url, amqp_url, **environment))
        return deployments[-1]

    yield make
    for deployment in deployments:
        deployment.end()
