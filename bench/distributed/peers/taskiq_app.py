"""Taskiq on RabbitMQ, with results in Redis, all as JSON."""

import asyncio
import os
from typing import Any

from taskiq.serializers import JSONSerializer
from taskiq_aio_pika import AioPikaBroker
from taskiq_aio_pika.queue import Queue, QueueType
from taskiq_redis import RedisAsyncResultBackend

from bench.distributed.peers.payload import AMQP_URL, NAP_SECONDS, PARAMS, REDIS_URL, RESULT

QUEUE = "bench_taskiq"
AT_ONCE = 64

broker = AioPikaBroker(
    AMQP_URL,
    qos=int(os.environ.get("BENCH_PREFETCH", "100")),
    dead_letter_queue=Queue(name=f"{QUEUE}.dead", type=QueueType.CLASSIC),
).with_result_backend(RedisAsyncResultBackend(REDIS_URL, serializer=JSONSerializer()))
broker.with_queue(Queue(name=QUEUE, type=QueueType.CLASSIC))


@broker.task("noop")
async def noop(params: dict[str, str]) -> dict[str, bool]:
    """Return at once."""
    return RESULT


@broker.task("nap")
async def nap(params: dict[str, str]) -> dict[str, bool]:
    """Wait as for a slow service."""
    await asyncio.sleep(NAP_SECONDS)
    return RESULT


def submit(task: str, jobs: int) -> list[str]:
    """Enqueue from tasks side by side, and return where Taskiq keeps the results."""
    return asyncio.run(_submit({"noop": noop, "nap": nap}[task], jobs))


async def _submit(task: Any, jobs: int) -> list[str]:
    waiting = iter(range(jobs))
    ids: list[str] = []

    async def submitter() -> None:
        for _ in waiting:
            ids.append((await task.kiq(PARAMS)).task_id)  # noqa: PERF401

    await broker.startup()
    await asyncio.gather(*(submitter() for _ in range(AT_ONCE)))
    await broker.shutdown()
    return ids
