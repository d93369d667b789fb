"""Celery, with the settings of Encola's founding document and its Redis result backend."""

import time

from celery import Celery

from bench.distributed.peers.payload import AMQP_URL, NAP_SECONDS, PARAMS, REDIS_URL, RESULT

QUEUE = "bench_celery"

app = Celery("bench", broker=AMQP_URL, backend=REDIS_URL)
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    result_serializer="json",
    timezone="UTC",
    enable_utc=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    task_track_started=True,
    task_default_queue=QUEUE,
)


@app.task(name="noop")
def noop(params: object) -> object:
    """Return at once."""
    return RESULT


@app.task(name="nap")
def nap(params: object) -> object:
    """Wait as for a slow service."""
    time.sleep(NAP_SECONDS)
    return RESULT


def submit(task: str, jobs: int) -> list[str]:
    """Enqueue one after the other, and return where Celery keeps the results."""
    function = app.tasks[task]
    ids = [function.delay(PARAMS).id for _ in range(jobs)]
    return [app.backend.get_key_for_task(task_id).decode() for task_id in ids]
