"""Jobs enqueued first, workers let loose then: how long until every outcome is known."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.distributed.apis import READY_SECONDS, encola_api
from bench.distributed.contenders import Contender, encola_environment
from bench.distributed.crew import Crew
from bench.distributed.machine import PEERS, ROOT, Machine
from bench.distributed.outcomes import wait_for_all
from encola.testing.loopback import HOST

DRAIN_SECONDS = 120.0
WARM_UP = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """How it went: seconds to enqueue, seconds from the start to the last outcome, workers' memory."""

    submit: float
    drain: float
    peak_mib: float


def drain(machine: Machine, contender: Contender, task: str, jobs: int) -> Drained:
    """Measure one contender once.

    Workers are started and warmed up first, and frozen while the jobs are enqueued, so that neither
    the start of Python nor the enqueuing is part of the time.
    """
    surroundings = {**machine.environment, **encola_environment(machine), **contender.environment}
    try:
        with _api(machine, contender) as url, Crew(machine.place("workers"), surroundings) as crew:
            surroundings["BENCH_ENCOLA_URL"] = url
            for command in contender.workers:
                crew.start(command)
            crew.wait_until(lambda: _consumers(machine, contender) >= contender.consumers, READY_SECONDS)
            _, keys = _submit(contender, "noop", WARM_UP, surroundings)
            wait_for_all(contender.outcome, machine.redis, keys, seconds=READY_SECONDS, check=crew.check)
            crew.pause()
            submitted, keys = _submit(contender, task, jobs, surroundings)
            if any(contender.outcome.known(machine.redis, keys)):
                raise RuntimeError(f"{contender.name} ran jobs before it was let loose")
            start = time.perf_counter()
            crew.resume()
            wait_for_all(contender.outcome, machine.redis, keys, seconds=DRAIN_SECONDS, check=crew.check)
            return Drained(submit=submitted, drain=time.perf_counter() - start, peak_mib=crew.peak_mib())
    finally:
        machine.clean(contender.queues)


@contextmanager
def _api(machine: Machine, contender: Contender) -> Iterator[str]:
    if contender.has_api:
        with encola_api(machine) as port:
            yield f"http://{HOST}:{port}"
    else:
        yield ""


def _consumers(machine: Machine, contender: Contender) -> int:
    return machine.consumers_of(contender.queues[0]) if contender.queues else 0


def _submit(
    contender: Contender, task: str, jobs: int, environment: dict[str, str]
) -> tuple[float, list[str]]:
    command = (PEERS / "python", "-m", "bench.distributed.peers.submit", contender.module, task, str(jobs))
    said = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=DRAIN_SECONDS,
    ).stdout
    told = json.loads(said)
    return told["seconds"], told["keys"]
