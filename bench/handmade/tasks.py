"""Jobs on Celery whose state is kept in Redis and published there.

The simplest that is correct while nothing fails: it keeps no history, no numbers and no leases.
"""

import json

import redis
from celery import Celery

from bench.distributed.peers.payload import AMQP_URL, REDIS_URL, RESULT

QUEUE = "bench_handmade"
KEPT_SECONDS = 3600

store = redis.Redis.from_url(REDIS_URL)
app = Celery("handmade", broker=AMQP_URL)
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    timezone="UTC",
    enable_utc=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,  # the state is in our own keys
    task_default_queue=QUEUE,
)


def key_of(job_id: str) -> str:
    """Return where the state of a job is kept."""
    return f"job:{job_id}"


def channel_of(job_id: str) -> str:
    """Return where the states of a job are announced."""
    return f"job_updates:{job_id}"


def state(job_id: str, kind: str, status: str, **more: object) -> str:
    """Return what is kept and sent."""
    return json.dumps({"type": kind, "job_id": job_id, "status": status, **more})


@app.task(name="noop")
def noop(job_id: str, params: object) -> None:
    """Do nothing, and say so."""
    _tell(job_id, state(job_id, "status_update", "processing"))
    _tell(job_id, state(job_id, "job_completed", "completed", result=RESULT))


def _tell(job_id: str, text: str) -> None:
    with store.pipeline(transaction=False) as pipeline:
        pipeline.set(key_of(job_id), text, ex=KEPT_SECONDS)
        pipeline.publish(channel_of(job_id), text)
        pipeline.execute()
