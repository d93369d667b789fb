"""Where keepers and workers find what is to be done, in SQL."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Connection, Row, bindparam, delete, or_, select, update

from encola.adapters.sql.database import SqlDatabase
from encola.adapters.sql.rows import JOB_COLUMNS, RANKS, RUNNING, Parameters, read_jobs
from encola.adapters.sql.tables import events, jobs, keys, outputs, params, pieces, tags, whole_jobs
from encola.application.ports import Lease, WorkBoard
from encola.domain.job import Job
from encola.domain.record import to_microseconds

_Row: TypeAlias = Row[*tuple[Any, ...]]

_KEY = (jobs.c.id, jobs.c.tenant)
_THIS_JOB = (jobs.c.id == bindparam("of_id"), jobs.c.tenant == bindparam("of_tenant"))
_IS_RUNNING = jobs.c.status.in_(RUNNING)

# One rank at a time: so the index gives the order, and what is due later is not even looked at.
_IS_DUE = (
    jobs.c.priority == bindparam("rank"),
    jobs.c.due_at <= bindparam("now"),
    or_(jobs.c.taken_until.is_(None), jobs.c.taken_until <= bindparam("now")),
    jobs.c.queue.not_in(bindparam("skip", expanding=True)),
)
_ANY_DUE = select(jobs.c.id).where(*_IS_DUE).limit(1)
_DUE = (
    select(*JOB_COLUMNS, *_KEY)
    .select_from(whole_jobs)
    .where(*_IS_DUE)
    .order_by(jobs.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(of=jobs, skip_locked=True)
)
_TAKE = update(jobs).where(*_THIS_JOB).values(taken_until=bindparam("until"))
_RENEW = (
    update(jobs)
    .where(*_THIS_JOB, jobs.c.attempt == bindparam("own_attempt"), _IS_RUNNING)
    .values(check_at=bindparam("until"))
)
_OVERDUE = (
    select(*JOB_COLUMNS)
    .select_from(whole_jobs)
    .where(jobs.c.check_at <= bindparam("now"))
    .order_by(jobs.c.check_at)
    .limit(bindparam("most"))
)
# The first condition of each is the one by which an index finds few rows among many.
_UNTAKE = (
    update(jobs).where(jobs.c.due_at.is_not(None), jobs.c.taken_until.is_not(None)).values(taken_until=None)
)
_END_LEASES = update(jobs).where(jobs.c.check_at.is_not(None), _IS_RUNNING).values(check_at=bindparam("now"))
_FINISHED = (
    select(*_KEY)
    .where(jobs.c.finished_at < bindparam("before"))
    .order_by(jobs.c.finished_at)
    .limit(bindparam("most"))
)
_FORGET = (
    *(
        delete(table).where(
            table.c.job_id == bindparam("of_id"),
            table.c.tenant == bindparam("of_tenant"),
        )
        for table in (events, params, tags, keys, outputs, pieces)
    ),
    delete(jobs).where(*_THIS_JOB),
)


class SqlWorkBoard(WorkBoard):
    """Finds work by the indexes of the jobs' table."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def take_due(
        self, now: datetime, *, again_at: datetime, limit: int, skip: Collection[str] = ()
    ) -> list[Job]:
        instant = to_microseconds(now)
        until = {"until": to_microseconds(again_at)}

        wanted: Parameters = {"now": instant, "skip": list(skip)}

        def work(connection: Connection) -> list[_Row]:
            rows = _due(connection, wanted, limit)
            if rows:
                connection.execute(_TAKE, [_key_of(row) | until for row in rows])
            return rows

        # A look costs no transaction, and most looks find nothing.
        if not await self._database.read(lambda connection: _is_any_due(connection, wanted)):
            return []
        return read_jobs(await self._database.write(work))

    async def renew(self, leases: Sequence[Lease], until: datetime) -> list[Lease]:
        check_at = to_microseconds(until)

        def work(connection: Connection) -> list[Lease]:
            return [lease for lease in leases if not _renew(connection, lease, check_at)]

        return await self._database.write(work)

    async def overdue(self, now: datetime, *, limit: int) -> list[Job]:
        parameters = {"now": to_microseconds(now), "most": limit}
        return await self._database.read(
            lambda connection: read_jobs(connection.execute(_OVERDUE, parameters).all())
        )

    async def reset(self, now: datetime) -> None:
        def work(connection: Connection) -> None:
            connection.execute(_UNTAKE)
            connection.execute(_END_LEASES, {"now": to_microseconds(now)})

        await self._database.write(work)

    async def forget(self, finished_before: datetime, *, limit: int) -> int:
        parameters = {"before": to_microseconds(finished_before), "most": limit}

        def work(connection: Connection) -> int:
            finished = [_key_of(row) for row in connection.execute(_FINISHED, parameters)]
            for statement in _FORGET if finished else ():
                connection.execute(statement, finished)
            return len(finished)

        return await self._database.write(work)


def _is_any_due(connection: Connection, wanted: Parameters) -> bool:
    return any(connection.execute(_ANY_DUE, wanted | {"rank": rank}).first() for rank in RANKS.values())


def _due(connection: Connection, wanted: Parameters, limit: int) -> list[_Row]:
    rows: list[_Row] = []
    for rank in RANKS.values():
        if len(rows) < limit:
            parameters = wanted | {"rank": rank, "most": limit - len(rows)}
            rows += connection.execute(_DUE, parameters).all()
    return rows


def _renew(connection: Connection, lease: Lease, check_at: int) -> bool:
    parameters = {
        "of_id": lease.job_id,
        "of_tenant": lease.tenant_id,
        "own_attempt": lease.attempt,
        "until": check_at,
    }
    return bool(connection.execute(_RENEW, parameters).rowcount)


def _key_of(row: _Row) -> Parameters:
    return {"of_id": row.id, "of_tenant": row.tenant}
