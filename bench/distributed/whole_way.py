"""From the submit over REST, through a worker, to the end that a WebSocket client sees."""

import json
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench.distributed.apis import READY_SECONDS, encola_api, fastapi
from bench.distributed.contenders import ENCOLA, ENCOLA_QUEUES, encola_environment
from bench.distributed.crew import Crew
from bench.distributed.machine import PEERS, ROOT, Machine
from encola.testing.loopback import HOST

CLIENT_SECONDS = 180.0
BASE = "hand-made, prefork 2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """An API process and a worker."""

    name: str
    settings: str
    api: Callable[[Machine], AbstractContextManager[int]]
    worker: Sequence[str | Path]
    queues: Sequence[str]


_HANDMADE = (PEERS / "celery", "-A", "bench.handmade.tasks", "worker", "--loglevel", "WARNING")

STACKS = (
    Stack(
        name="Encola",
        settings="1 `encola api`, 1 `encola worker`, defaults",
        api=encola_api,
        worker=(*ENCOLA, "worker", "--json"),
        queues=ENCOLA_QUEUES,
    ),
    Stack(
        name=BASE,
        settings="1 uvicorn, 1 Celery worker of two processes, late ack, prefetch 1",
        api=lambda machine: fastapi(machine, "bench.handmade.api:app"),
        worker=(*_HANDMADE, "--concurrency", "2"),
        queues=("bench_handmade",),
    ),
    Stack(
        name="hand-made, 10 threads",
        settings="the same, Celery's pool of 10 threads",
        api=lambda machine: fastapi(machine, "bench.handmade.api:app"),
        worker=(*_HANDMADE, "--pool", "threads", "--concurrency", "10"),
        queues=("bench_handmade",),
    ),
)


def walk(machine: Machine, stack: Stack, *, idle: int, loaded: int) -> dict[str, float]:
    """Measure one stack once: ``p50`` and ``p99`` in milliseconds, ``rate`` in jobs per second."""
    surroundings = {**machine.environment, **encola_environment(machine)}
    try:
        with stack.api(machine) as port, Crew(machine.place("workers"), surroundings) as crew:
            crew.start(stack.worker)
            crew.wait_until(lambda: machine.consumers_of(stack.queues[0]) > 0, READY_SECONDS)
            return _client(f"http://{HOST}:{port}", idle, loaded)
    finally:
        machine.clean(stack.queues)


def _client(url: str, idle: int, loaded: int) -> dict[str, float]:
    command = (PEERS / "python", "-m", "bench.distributed.clients.watch", url, str(idle), str(loaded))
    said = subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=CLIENT_SECONDS
    ).stdout
    figures: dict[str, float] = json.loads(said)
    return figures
