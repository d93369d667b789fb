"""The state machine of a job's life against a small model, in Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from redis import Redis
from redis_stores import redis_stores

from encola.testing.job_machine import job_machine
from encola.testing.stores import Stores


def test_jobs_live_in_redis_as_in_the_model(redis_url: str) -> None:
    @asynccontextmanager
    async def empty_stores() -> AsyncIterator[Stores]:
        with Redis.from_url(redis_url) as client:
            client.flushdb()
        async with redis_stores(redis_url) as stores:
            yield stores

    run_state_machine_as_test(
        job_machine(empty_stores),
        settings=settings(max_examples=60, stateful_step_count=30, deadline=None),
    )
