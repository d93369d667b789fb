"""Looking jobs up in numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from encola.domain.context import JobId, TenantId
from encola.domain.job import Job, JobStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs are meant; what is set must all hold.

    ``text`` is found in the id, the type, the params, the tags and the error, whatever the case of
    ASCII letters. The bounds of time are inclusive below and exclusive above.
    """

    statuses: tuple[JobStatus, ...] = ()
    types: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageStart:
    """The last job of the page before."""

    created_at: datetime
    job_id: JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCount:
    """How many jobs of one type and queue are in one status."""

    status: JobStatus
    type: str
    queue: str
    count: int


class JobCatalog(Protocol):
    """Lists and counts one tenant's jobs as they are now."""

    async def list(
        self, tenant: TenantId, job_filter: JobFilter, *, start: PageStart | None, limit: int
    ) -> Sequence[Job]:
        """Return up to ``limit`` jobs, newest first, that follow ``start``.

        The order is by creation and then id, both descending, so that a walk over pages sees every
        job that was there when it began exactly once.
        """
        ...

    async def counts(self, tenant: TenantId) -> Sequence[JobCount]:
        """Count the tenant's jobs; groups of none are left out."""
        ...

    async def owner_of(self, job_id: JobId) -> TenantId | None:
        """Return whose job this is, ``None`` if nobody's.

        For one caller only: a front door without authentication, where knowing an unguessable id
        is all the credential there is.
        """
        ...
