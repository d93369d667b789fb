"""The truth about live jobs, in SQL."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from encola.adapters.sql.announcing import AnnouncedWrites
from encola.adapters.sql.database import SqlDatabase
from encola.adapters.sql.rows import (
    EVENT_COLUMNS,
    JOB_COLUMNS,
    Parameters,
    event_row,
    job_changes,
    job_row,
    params_row,
    read_event,
    read_job,
)
from encola.adapters.sql.tables import cursors, events, jobs, keys, params, tags, whole_jobs
from encola.application.ports import IdempotencyKey, JobStore, Notifier
from encola.domain.context import JobId, TenantId
from encola.domain.errors import JobChanged, JobNotFound
from encola.domain.event import JobEvent, announce
from encola.domain.job import Job
from encola.domain.record import to_microseconds

KEPT_EVENTS: Final = 1024
"""How many of a job's latest events are kept at least."""

TRIM_EVERY: Final = 256

_THIS_JOB = (jobs.c.id == bindparam("of_id"), jobs.c.tenant == bindparam("of_tenant"))
_OF_JOB = (events.c.job_id == bindparam("of_id"), events.c.tenant == bindparam("of_tenant"))

_GET = select(*JOB_COLUMNS).select_from(whole_jobs).where(*_THIS_JOB)
_EXISTS = select(jobs.c.seq).where(*_THIS_JOB)
_SAVE = update(jobs).where(
    *_THIS_JOB, jobs.c.seq == bindparam("stored_seq"), jobs.c.attempt <= bindparam("own_attempt")
)
_EVENTS = (
    select(*EVENT_COLUMNS)
    .where(*_OF_JOB, events.c.seq > bindparam("after"))
    .order_by(events.c.seq)
    .limit(bindparam("most"))
)
_ADD_EVENT = insert(events).inline()
_ADD_PARAMS = insert(params).inline()
_ADD_TAGS = insert(tags).inline()
_JOB_OF_KEY = (
    select(*JOB_COLUMNS)
    .select_from(whole_jobs)
    .join(keys, and_(keys.c.job_id == jobs.c.id, keys.c.tenant == jobs.c.tenant))
    .where(
        keys.c.tenant == bindparam("of_tenant"),
        keys.c.key == bindparam("of_key"),
        keys.c.expires_at > bindparam("now"),
    )
)
# What a consumer of the feed has not acknowledged stays, however long the life of its job.
_TRIM = delete(events).where(
    *_OF_JOB,
    events.c.seq <= bindparam("last"),
    ~select(cursors).where(cursors.c.position < events.c.position).exists(),
)


class SqlJobStore(JobStore):
    """Keeps jobs in a database, and tells a notifier of what was committed."""

    def __init__(self, database: SqlDatabase, notifier: Notifier) -> None:
        self._database = database
        self._write = AnnouncedWrites(database, notifier)
        self._add_job = (
            database.insert(jobs).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
        )
        add_key = database.insert(keys)
        self._add_key = add_key.on_conflict_do_update(
            index_elements=[keys.c.tenant, keys.c.key],
            set_={"job_id": add_key.excluded.job_id, "expires_at": add_key.excluded.expires_at},
        )

    async def add(
        self, job: Job, key: IdempotencyKey | None = None, *, taken_until: datetime | None = None
    ) -> Job:
        row = job_row(job) | {"taken_until": None if taken_until is None else to_microseconds(taken_until)}
        params_columns = params_row(job)
        event = announce(job)
        event_columns = event_row(event)

        def work(connection: Connection) -> Job:
            kept = None if key is None else _kept_under(connection, job, key)
            if kept is not None:
                return kept
            if not connection.execute(self._add_job, row).rowcount:
                return _get(connection, job.tenant_id, job.id)
            connection.execute(_ADD_PARAMS, params_columns)
            connection.execute(_ADD_EVENT, event_columns)
            if job.tags:
                connection.execute(_ADD_TAGS, _tag_rows(job))
            if key is not None:
                connection.execute(self._add_key, _key_row(job, key))
            return job

        return await self._write(work, event, when=lambda stored: stored is job)

    async def get(self, tenant: TenantId, job_id: JobId) -> Job:
        return await self._database.read(lambda connection: _get(connection, tenant, job_id))

    async def save(self, job: Job) -> None:
        event = announce(job)
        event_columns = event_row(event)
        parameters = job_changes(job) | {
            "of_id": job.id,
            "of_tenant": job.tenant_id,
            "stored_seq": job.seq - 1,
            "own_attempt": job.attempt,
        }

        def work(connection: Connection) -> None:
            if not connection.execute(_SAVE, parameters).rowcount:
                raise _why_not(connection, job)
            connection.execute(_ADD_EVENT, event_columns)
            if job.seq % TRIM_EVERY == 0 and job.seq > KEPT_EVENTS:
                connection.execute(_TRIM, _job_key(job.tenant_id, job.id) | {"last": job.seq - KEPT_EVENTS})

        await self._write(work, event)

    async def events(
        self, tenant: TenantId, job_id: JobId, *, after: int = 0, limit: int = 1000
    ) -> list[JobEvent]:
        parameters = _job_key(tenant, job_id)

        def work(connection: Connection) -> list[JobEvent]:
            rows = connection.execute(_EVENTS, parameters | {"after": after, "most": limit}).all()
            if not rows and connection.execute(_EXISTS, parameters).first() is None:
                raise JobNotFound(job_id)
            return [read_event(row) for row in rows]

        return await self._database.read(work)


def _get(connection: Connection, tenant: TenantId, job_id: JobId) -> Job:
    row = connection.execute(_GET, _job_key(tenant, job_id)).first()
    if row is None:
        raise JobNotFound(job_id)
    return read_job(row)


def _kept_under(connection: Connection, job: Job, key: IdempotencyKey) -> Job | None:
    parameters = {"of_tenant": job.tenant_id, "of_key": key.text, "now": to_microseconds(job.created_at)}
    row = connection.execute(_JOB_OF_KEY, parameters).first()
    return None if row is None else read_job(row)


def _why_not(connection: Connection, job: Job) -> JobChanged | JobNotFound:
    if connection.execute(_EXISTS, _job_key(job.tenant_id, job.id)).first() is None:
        return JobNotFound(job.id)
    return JobChanged("Another writer changed this job first.")


def _job_key(tenant: TenantId, job_id: JobId) -> Parameters:
    return {"of_id": job_id, "of_tenant": tenant}


def _tag_rows(job: Job) -> list[Parameters]:
    return [{"tenant": job.tenant_id, "tag": tag, "job_id": job.id} for tag in dict.fromkeys(job.tags)]


def _key_row(job: Job, key: IdempotencyKey) -> Parameters:
    return {
        "tenant": job.tenant_id,
        "key": key.text,
        "job_id": job.id,
        "expires_at": to_microseconds(key.expires_at),
    }
