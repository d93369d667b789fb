"""Steps that several contracts take."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from encola.application.ports import Announcement, Subscription
from encola.domain.job import Job
from encola.testing.builders import LEASE, after
from encola.testing.stores import Stores

PATIENCE = 10.0
"""Seconds after which an announcement that has not come will not come."""


async def keep(stores: Stores, *versions: Job) -> Job:
    """Add a job and save its following versions; return the last."""
    first, *following = versions
    await stores.jobs.add(first)
    for job in following:
        await stores.jobs.save(job)
    return versions[-1]


async def keep_running(stores: Stores, job: Job) -> Job:
    """Keep a job that is claimed one second after noon, and return it."""
    return await keep(stores, job, job.claimed(after(1), LEASE))


async def hear(subscription: Subscription) -> Announcement | None:
    """Return the next announcement, or fail the test when none comes."""
    async with asyncio.timeout(PATIENCE):
        return await subscription.receive()


@asynccontextmanager
async def ear(stores: Stores, job: Job) -> AsyncIterator[Subscription]:
    """Subscribe to the job for a while."""
    async with stores.notifier.subscribe(job.tenant_id, job.id) as subscription:
        yield subscription
