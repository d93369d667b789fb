"""Looking jobs up in numbers, in SQL."""

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, bindparam, func, or_, select, tuple_

from encola.adapters.sql.database import SqlDatabase
from encola.adapters.sql.rows import JOB_COLUMNS, encode, read_jobs
from encola.adapters.sql.tables import jobs, params, tags, whole_jobs
from encola.application.ports import JobCatalog, JobCount, JobFilter, PageStart
from encola.domain.context import JobId, TenantId
from encola.domain.job import Job, JobStatus
from encola.domain.record import to_microseconds

_GROUP = (jobs.c.status, jobs.c.type, jobs.c.queue)
_COUNTS = select(*_GROUP, func.count()).where(jobs.c.tenant == bindparam("of_tenant")).group_by(*_GROUP)
_OWNER = select(jobs.c.tenant).where(jobs.c.id == bindparam("of_id"))
_PLAIN_TEXTS = (jobs.c.id, jobs.c.type, jobs.c.tags, jobs.c.error)


class SqlJobCatalog(JobCatalog):
    """Lists and counts by the indexes of the jobs' table; text is sought in every row that is left."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def list(
        self, tenant: TenantId, job_filter: JobFilter, *, start: PageStart | None, limit: int
    ) -> Sequence[Job]:
        statement = (
            select(*JOB_COLUMNS)
            .select_from(whole_jobs)
            .where(jobs.c.tenant == tenant, *self._conditions(tenant, job_filter), *_following(start))
            .order_by(jobs.c.created_at.desc(), jobs.c.id.desc())
            .limit(limit)
        )
        return await self._database.read(lambda connection: read_jobs(connection.execute(statement).all()))

    async def counts(self, tenant: TenantId) -> Sequence[JobCount]:
        rows = await self._database.read(
            lambda connection: connection.execute(_COUNTS, {"of_tenant": tenant}).all()
        )
        return [
            JobCount(status=JobStatus(status), type=type_, queue=queue, count=count)
            for status, type_, queue, count in rows
        ]

    async def owner_of(self, job_id: JobId) -> TenantId | None:
        owner = await self._database.read(lambda connection: connection.scalar(_OWNER, {"of_id": job_id}))
        return None if owner is None else TenantId(owner)

    def _conditions(self, tenant: TenantId, wanted: JobFilter) -> Iterator[ColumnElement[bool]]:
        if wanted.statuses:
            yield jobs.c.status.in_([status.value for status in wanted.statuses])
        if wanted.types:
            yield jobs.c.type.in_(wanted.types)
        for tag in wanted.tags:
            yield jobs.c.id.in_(select(tags.c.job_id).where(tags.c.tenant == tenant, tags.c.tag == tag))
        if wanted.created_after is not None:
            yield jobs.c.created_at >= to_microseconds(wanted.created_after)
        if wanted.created_before is not None:
            yield jobs.c.created_at < to_microseconds(wanted.created_before)
        if wanted.text:
            yield self._found(wanted.text)

    def _found(self, text: str) -> ColumnElement[bool]:
        text = _folded(text)
        spelt = encode(text)[1:-1]  # as it stands within the stored JSON
        plain = (self._database.contains(column, text) for column in _PLAIN_TEXTS)
        return or_(*plain, self._database.contains(params.c.params, spelt))


def _following(start: PageStart | None) -> Iterator[ColumnElement[bool]]:
    if start is not None:
        place = tuple_(to_microseconds(start.created_at), start.job_id)
        yield tuple_(jobs.c.created_at, jobs.c.id) < place


def _folded(text: str) -> str:
    """Return the text with the letters of ASCII, and no others, in lower case."""
    return text.encode().lower().decode()
