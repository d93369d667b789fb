"""SAQ, which needs Redis only."""

import asyncio

from redis.asyncio import Redis
from saq.queue.redis import RedisQueue

from bench.distributed.peers.payload import NAP_SECONDS, PARAMS, REDIS_URL, RESULT

AT_ONCE = 64
CONCURRENCY = 1000

# Each of its places waits on a connection of its own; redis-py would stop at 100.
queue = RedisQueue(Redis.from_url(REDIS_URL, max_connections=2 * CONCURRENCY))


async def noop(ctx: object, *, params: object) -> object:
    """Return at once."""
    return RESULT


async def nap(ctx: object, *, params: object) -> object:
    """Wait as for a slow service."""
    await asyncio.sleep(NAP_SECONDS)
    return RESULT


settings = {"queue": queue, "functions": [noop, nap], "concurrency": CONCURRENCY}


def submit(task: str, jobs: int) -> list[str]:
    """Enqueue from tasks side by side, and return where SAQ keeps the jobs."""
    return asyncio.run(_submit(task, jobs))


async def _submit(task: str, jobs: int) -> list[str]:
    waiting = iter(range(jobs))
    keys: list[str] = []

    async def submitter() -> None:
        for _ in waiting:
            job = await queue.enqueue(task, params=PARAMS, timeout=60)
            assert job is not None
            keys.append(job.id)

    await asyncio.gather(*(submitter() for _ in range(AT_ONCE)))
    await queue.disconnect()
    return keys
