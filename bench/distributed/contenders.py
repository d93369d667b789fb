"""Who takes part in the measurements of queues, and with which settings."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.distributed.machine import PEERS, Machine
from bench.distributed.outcomes import Outcome

ENCOLA: Sequence[str] = (sys.executable, "-m", "encola.entrypoints.cli.main")
APP = "bench.distributed.peers"
PREFETCH = "BENCH_PREFETCH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A system in one set-up.

    :ivar settings: what is set, in the words of the report
    :ivar module: submits its jobs, in :mod:`bench.distributed.peers`
    :ivar workers: commands of processes that run jobs
    :ivar consumers: how many of them RabbitMQ must know before jobs are sent
    :ivar queues: names of its queues in RabbitMQ, the first with the jobs
    :ivar outcome: where it shows that a job has ended
    """

    name: str
    settings: str
    module: str
    workers: Sequence[Sequence[str | Path]]
    consumers: int
    queues: Sequence[str]
    outcome: Outcome
    environment: Mapping[str, str] = field(default_factory=dict)
    has_api: bool = False


def encola_environment(machine: Machine) -> dict[str, str]:
    """Return the settings of Encola's processes: the defaults, and where things are."""
    return {
        "ENCOLA_PROFILE": "distributed",
        "ENCOLA_REDIS_URL": machine.redis_url,
        "ENCOLA_AMQP_URL": machine.amqp_url,
        "ENCOLA_APP": "bench.distributed.encola_app:app",
        "ENCOLA_LOG_LEVEL": "warning",
    }


_CELERY = (PEERS / "celery", "-A", f"{APP}.celery_app", "worker", "--loglevel", "WARNING")
_CELERY_QUEUES = ("bench_celery",)
_CELERY_OUTCOME = Outcome("GET", (), b'"status": "SUCCESS"')
_TASKIQ = (PEERS / "taskiq", "worker", f"{APP}.taskiq_app:broker", "--log-level", "WARNING")
_TASKIQ_QUEUES = ("bench_taskiq", "bench_taskiq.dead")
_TASKIQ_OUTCOME = Outcome("GET", (), b'"is_err": false')
_DRAMATIQ_QUEUES = ("bench_dramatiq", "bench_dramatiq.DQ", "bench_dramatiq.XQ")
ENCOLA_QUEUES = ("bench_encola", "agent_tasks", "embedding_tasks", "query_tasks")
_ENCOLA_OUTCOME = Outcome("HGET", ("status",), b"completed")

BASE = "Celery"

NO_OPS = (
    Contender(
        name="Encola",
        settings="2 `encola worker` processes, defaults; submitted over REST to 1 `encola api`",
        module="encola_rest",
        workers=((*ENCOLA, "worker", "--json"),) * 2,
        consumers=2,
        queues=ENCOLA_QUEUES,
        outcome=_ENCOLA_OUTCOME,
        has_api=True,
    ),
    Contender(
        name=BASE,
        settings="the founding document's: late ack, prefetch 1, track started, Redis results; prefork 2",
        module="celery_app",
        workers=((*_CELERY, "--concurrency", "2"),),
        consumers=1,
        queues=_CELERY_QUEUES,
        outcome=_CELERY_OUTCOME,
    ),
    Contender(
        name="Taskiq",
        settings="RabbitMQ, classic queue, prefetch 100; Redis results; 2 processes, 30 tasks at once",
        module="taskiq_app",
        workers=((*_TASKIQ, "--workers", "2", "--max-async-tasks", "30"),),
        consumers=2,
        queues=_TASKIQ_QUEUES,
        outcome=_TASKIQ_OUTCOME,
        environment={PREFETCH: "100"},
    ),
    Contender(
        name="Dramatiq",
        settings="RabbitMQ, Redis results; 2 processes of 16 threads; keeps no states",
        module="dramatiq_app",
        workers=((PEERS / "dramatiq", f"{APP}.dramatiq_app", "--processes", "2", "--threads", "16"),),
        consumers=2,
        queues=_DRAMATIQ_QUEUES,
        outcome=Outcome("LINDEX", ("0",), b'"ok":true'),
    ),
)

NAPS = (
    Contender(
        name="Encola",
        settings="`encola worker --concurrency 1000`",
        module="encola_rest",
        workers=((*ENCOLA, "worker", "--concurrency", "1000", "--json"),),
        consumers=1,
        queues=ENCOLA_QUEUES,
        outcome=_ENCOLA_OUTCOME,
        has_api=True,
    ),
    Contender(
        name=BASE,
        settings="as above, pool of 1,000 threads",
        module="celery_app",
        workers=((*_CELERY, "--pool", "threads", "--concurrency", "1000"),),
        consumers=1,
        queues=_CELERY_QUEUES,
        outcome=_CELERY_OUTCOME,
    ),
    Contender(
        name="Taskiq",
        settings="as above, 1,000 tasks at once, prefetch 1,000; 1 process and its parent",
        module="taskiq_app",
        workers=((*_TASKIQ, "--workers", "1", "--max-async-tasks", "1000"),),
        consumers=1,
        queues=_TASKIQ_QUEUES,
        outcome=_TASKIQ_OUTCOME,
        environment={PREFETCH: "1000"},
    ),
    Contender(
        name="SAQ",
        settings="Redis only, 1,000 at once",
        module="saq_app",
        workers=((PEERS / "saq", f"{APP}.saq_app.settings", "--quiet"),),
        consumers=0,
        queues=(),
        outcome=Outcome("GET", (), b'"status": "complete"'),
    ),
)
