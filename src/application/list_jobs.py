"""Listing jobs, page by page."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from encola.application.ports import JobCatalog, JobCount, JobFilter, PageStart
from encola.domain.context import JobId, TenantId
from encola.domain.errors import InvalidCursor
from encola.domain.fingerprint import digest
from encola.domain.job import Job
from encola.domain.record import from_microseconds, to_microseconds

MAX_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Some jobs, newest first; ``next_cursor`` is ``None`` on the last page."""

    jobs: Sequence[Job]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListJobs:
    """Return a tenant's jobs that fit a filter, newest first."""

    catalog: JobCatalog

    async def __call__(
        self, tenant: TenantId, job_filter: JobFilter, *, cursor: str | None = None, limit: int = 50
    ) -> JobPage:
        """Return one page of at most ``limit`` jobs, which is cut to 100.

        :raises InvalidCursor: the cursor is not ours, or belongs to another filter or tenant
        """
        question = _question(tenant, job_filter)
        start = None if cursor is None else _read_cursor(cursor, question)
        size = min(limit, MAX_PAGE)
        jobs = await self.catalog.list(tenant, job_filter, start=start, limit=size + 1)
        more = len(jobs) > size
        page = jobs[:size]
        return JobPage(jobs=page, next_cursor=_write_cursor(page[-1], question) if more else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountJobs:
    """Count a tenant's jobs by status, type and queue."""

    catalog: JobCatalog

    async def __call__(self, tenant: TenantId) -> Sequence[JobCount]:
        """Return the groups that are not empty."""
        return await self.catalog.counts(tenant)


def _question(tenant: TenantId, job_filter: JobFilter) -> str:
    fields = {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in asdict(job_filter).items()
    }
    plain = json.loads(json.dumps([tenant, fields], default=list))
    return digest(plain)[7:23]


def _write_cursor(job: Job, question: str) -> str:
    text = json.dumps([to_microseconds(job.created_at), job.id, question], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, question: str) -> PageStart:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        created_at, job_id, asked = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        start = PageStart(created_at=from_microseconds(created_at), job_id=JobId(str(job_id)))
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise InvalidCursor("This cursor was not given by this server.") from None
    if asked != question:
        raise InvalidCursor("This cursor belongs to other filters; start again without it.")
    return start
