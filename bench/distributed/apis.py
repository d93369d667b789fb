"""API processes, one at a time."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from bench.distributed.contenders import ENCOLA, encola_environment
from bench.distributed.crew import Crew
from bench.distributed.machine import PEERS, Machine
from encola.testing.loopback import HOST, free_ports

READY_SECONDS = 60.0
QUIET = ("--log-level", "warning", "--no-access-log", "--no-server-header")


@contextmanager
def encola_api(machine: Machine, **settings: str) -> Iterator[int]:
    """Run ``encola api`` and give its port."""
    port = free_ports(1)[0]
    with _crew(machine) as crew:
        crew.start((*ENCOLA, "api", "--json"), ENCOLA_PORT=str(port), **settings)
        crew.wait_until(lambda: _answers(port, "/readyz"), READY_SECONDS)
        yield port


@contextmanager
def fastapi(machine: Machine, app: str) -> Iterator[int]:
    """Run an application of ours in one uvicorn, with its fast parser, and give its port."""
    port = free_ports(1)[0]
    with _crew(machine) as crew:
        crew.start(
            (PEERS / "uvicorn", app, "--host", HOST, "--port", str(port), "--http", "httptools", *QUIET)
        )
        crew.wait_until(lambda: _answers(port, "/openapi.json"), READY_SECONDS)
        yield port


def _crew(machine: Machine) -> Crew:
    return Crew(machine.place("api"), {**machine.environment, **encola_environment(machine)})


def _answers(port: int, path: str) -> bool:
    """Tell whether a GET is answered with success.

    That a connection is taken says little: Encola takes its port before it starts anything.
    """
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=1.0) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
