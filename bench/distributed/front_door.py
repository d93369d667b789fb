"""How many submits a second one API process takes, with 32 connections and nobody else at work."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bench.distributed.apis import encola_api, fastapi
from bench.distributed.contenders import ENCOLA_QUEUES
from bench.distributed.machine import PEERS, ROOT, Machine
from bench.distributed.peers.payload import PARAMS
from encola.testing.loopback import HOST

CONNECTIONS = 32
WARM_UP_SECONDS = 1
SEED = "the founding document's endpoint"
BARE = "FastAPI alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """An API process, and what it is asked."""

    name: str
    settings: str
    api: Callable[[Machine], AbstractContextManager[int]]
    path: str
    body: dict[str, object]


_JOB: dict[str, object] = {"type": "noop", "params": PARAMS}

DOORS = (
    Door(
        name="Encola",
        settings="`POST /api/jobs`: kept with its first event, published to RabbitMQ afterwards",
        # Without a worker the queue would be full after 5,000 jobs, and the others would be kept only.
        api=lambda machine: encola_api(machine, ENCOLA_PUBLISH_AHEAD="1000000"),
        path="/api/jobs",
        body=_JOB,
    ),
    Door(
        name=SEED,
        settings="a write to Redis, then a blocking `apply_async` without confirms",
        api=lambda machine: fastapi(machine, "bench.handmade.seed_api:app"),
        path="/jobs/agent/an-agent/execute",
        body={"input": PARAMS["text"]},
    ),
    Door(
        name=BARE,
        settings="the same body checked with pydantic, nothing kept",
        api=lambda machine: fastapi(machine, "bench.handmade.bare_api:app"),
        path="/api/jobs",
        body=_JOB,
    ),
)


def knock(machine: Machine, door: Door, *, seconds: int) -> float:
    """Measure one endpoint once: requests per second, all of them answered well."""
    load = _wrk if shutil.which("wrk") else _own_load
    try:
        with door.api(machine) as port:
            load(machine, door, port, WARM_UP_SECONDS)
            return load(machine, door, port, seconds)
    finally:
        machine.clean((*ENCOLA_QUEUES, "bench_seed"))


def _wrk(machine: Machine, door: Door, port: int, seconds: int) -> float:
    script = machine.place("load") / "post.lua"
    script.write_text(
        'wrk.method = "POST"\n'
        'wrk.headers["Content-Type"] = "application/json"\n'
        f"wrk.body = [[{json.dumps(door.body)}]]\n"
    )
    url = f"http://{HOST}:{port}{door.path}"
    said = _output("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script, url, seconds=seconds)
    rate = re.search(r"^Requests/sec:\s+([\d.]+)$", said, re.MULTILINE)
    if rate is None or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"{door.name} did not answer well:\n{said}")
    return float(rate[1])


def _own_load(machine: Machine, door: Door, port: int, seconds: int) -> float:
    module = "bench.distributed.clients.load"
    body = json.dumps(door.body)
    said = _output(
        PEERS / "python", "-m", module, port, door.path, body, CONNECTIONS, seconds, seconds=seconds
    )
    told = json.loads(said)
    if told["refused"]:
        raise RuntimeError(f"{door.name} did not answer well: {told}")
    return float(told["rate"])


def _output(*command: object, seconds: float) -> str:
    words = [str(word) for word in command]
    return subprocess.run(
        words, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=seconds + 30
    ).stdout
