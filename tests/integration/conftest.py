"""Servers for integration tests."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from processes import DevServer
from seed_like_client import SeedLikeClient


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
