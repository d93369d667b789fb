"""Servers for integration tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import DevServer


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
