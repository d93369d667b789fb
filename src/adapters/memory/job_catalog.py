"""The job catalog in memory."""

import asyncio
import json
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from encola.adapters.memory.state import MemoryState
from encola.application.ports import JobCatalog, JobCount, JobFilter, PageStart
from encola.domain.context import JobId, TenantId
from encola.domain.job import Job
from encola.domain.json_value import JSON

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class InMemoryJobCatalog(JobCatalog):
    """Lists and counts by looking at every job of the tenant."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def list(
        self, tenant: TenantId, job_filter: JobFilter, *, start: PageStart | None, limit: int
    ) -> Sequence[Job]:
        await asyncio.sleep(0)
        jobs = (job for job in self._state.jobs_of(tenant) if _fits(job, job_filter))
        following = (job for job in jobs if start is None or _place(job) < (start.created_at, start.job_id))
        return sorted(following, key=_place, reverse=True)[:limit]

    async def counts(self, tenant: TenantId) -> Sequence[JobCount]:
        await asyncio.sleep(0)
        groups = Counter((job.status, job.type, job.queue) for job in self._state.jobs_of(tenant))
        return [
            JobCount(status=status, type=job_type, queue=queue, count=count)
            for (status, job_type, queue), count in sorted(groups.items())
        ]

    async def owner_of(self, job_id: JobId) -> TenantId | None:
        await asyncio.sleep(0)
        return self._state.owner_of(job_id)


def _place(job: Job) -> tuple[datetime, JobId]:
    return job.created_at, job.id


def _fits(job: Job, wanted: JobFilter) -> bool:
    return (
        (not wanted.statuses or job.status in wanted.statuses)
        and (not wanted.types or job.type in wanted.types)
        and set(wanted.tags) <= set(job.tags)
        and (wanted.created_after is None or wanted.created_after <= job.created_at)
        and (wanted.created_before is None or job.created_at < wanted.created_before)
        and (wanted.text is None or _holds(job, wanted.text))
    )


def _holds(job: Job, text: str) -> bool:
    sought = text.translate(_LOWER)
    return any(sought in part.translate(_LOWER) for part in _texts(job))


def _texts(job: Job) -> Iterator[str]:
    yield from (job.id, job.type, *job.tags)
    yield from _texts_of_json(job.params)
    if job.error is not None:
        yield from (job.error.code, job.error.message)


def _texts_of_json(value: JSON) -> Iterator[str]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from _texts_of_json(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts_of_json(member)
    else:
        yield value if isinstance(value, str) else json.dumps(value)
