"""Looking jobs up in numbers, in Redis."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from encola.adapters.redis.link import Argument
from encola.adapters.redis.links import RedisLinks
from encola.adapters.redis.rows import encode, read_jobs
from encola.adapters.redis.scripts import Script
from encola.application.ports import JobCatalog, JobCount, JobFilter, PageStart
from encola.domain.context import JobId, TenantId
from encola.domain.job import Job, JobStatus
from encola.domain.record import to_microseconds

_LIST = Script.load("list")

PAGE = 500
"""How many jobs one script walks over; others wait no longer than that takes."""


class RedisJobCatalog(JobCatalog):
    """Walks a tenant's jobs by their time of creation, and keeps count of them."""

    def __init__(self, links: RedisLinks) -> None:
        self._links = links

    async def list(
        self, tenant: TenantId, job_filter: JobFilter, *, start: PageStart | None, limit: int
    ) -> Sequence[Job]:
        found: list[Job] = []
        async with aclosing(self._walk(tenant, job_filter, start)) as jobs:
            async for job in jobs:
                # A job made meanwhile moves the others down the pages, where they are met once more.
                last = PageStart(created_at=found[-1].created_at, job_id=found[-1].id) if found else start
                if _follows(job, last) and _fits(job, job_filter):
                    found.append(job)
                if len(found) == limit:
                    break
        return found

    async def counts(self, tenant: TenantId) -> Sequence[JobCount]:
        link, keys = self._links.of(tenant)
        reply = await link.call("HGETALL", keys.of(tenant, "counts"))
        pairs = zip(reply[::2], reply[1::2], strict=True)
        return [_count(group.decode(), int(count)) for group, count in pairs if int(count) > 0]

    async def owner_of(self, job_id: JobId) -> TenantId | None:
        for link, keys in self._links.all():
            owner = await link.call("HGET", keys.own("owners"), job_id)
            if owner is not None:
                return TenantId(owner.decode())
        return None

    async def _walk(
        self, tenant: TenantId, wanted: JobFilter, start: PageStart | None
    ) -> AsyncGenerator[Job, None]:
        link, keys = self._links.of(tenant)
        newest: Argument = "+inf" if start is None else to_microseconds(start.created_at)
        if wanted.created_before is not None:
            before = to_microseconds(wanted.created_before) - 1
            newest = before if isinstance(newest, str) else min(int(newest), before)
        oldest: Argument = "-inf" if wanted.created_after is None else to_microseconds(wanted.created_after)
        statuses = [status.value for status in wanted.statuses]
        skipped = 0
        while True:
            walked, *fields = await link.script(
                _LIST,
                [keys.of(tenant, "jobs")],
                [
                    keys.of(tenant, "job:"),
                    newest,
                    oldest,
                    PAGE,
                    skipped,
                    len(statuses),
                    *statuses,
                    *wanted.types,
                ],
            )
            for job in read_jobs(fields):
                yield job
            skipped += walked
            if walked < PAGE:
                return


def _follows(job: Job, start: PageStart | None) -> bool:
    return start is None or (job.created_at, job.id) < (start.created_at, start.job_id)


def _fits(job: Job, wanted: JobFilter) -> bool:
    if not set(wanted.tags) <= set(job.tags):
        return False
    if not wanted.text:
        return True
    error = () if job.error is None else (job.error.code, job.error.message)
    text = _folded(wanted.text)
    spelt = _folded(encode(wanted.text)[1:-1])  # as it stands within the stored JSON
    plain = (job.id, job.type, *job.tags, *error)
    return any(text in _folded(part) for part in plain) or spelt in _folded(encode(job.params))


def _folded(text: str) -> str:
    """Return the text with the letters of ASCII, and no others, in lower case."""
    return text.encode().lower().decode()


def _count(group: str, count: int) -> JobCount:
    status, job_type, queue = group.split("\n")
    return JobCount(status=JobStatus(status), type=job_type, queue=queue, count=count)
