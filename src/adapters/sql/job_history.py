"""The durable past, in SQL."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, select

from encola.adapters.sql.database import SqlDatabase
from encola.adapters.sql.rows import Parameters, event_row, read_event
from encola.adapters.sql.tables import history
from encola.application.ports import JobHistory
from encola.domain.context import JobId, TenantId
from encola.domain.event import JobEvent
from encola.domain.record import to_microseconds

_EVENTS = (
    select(
        history.c.tenant,
        history.c.job_id,
        history.c.job_type,
        history.c.seq,
        history.c.epoch,
        history.c.status,
        history.c.attempt,
        history.c.wire,
    )
    .where(history.c.job_id == bindparam("of_id"), history.c.tenant == bindparam("of_tenant"))
    .order_by(history.c.seq, history.c.position)
)
_OLDEST = (
    select(history.c.position)
    .where(history.c.happened_at < bindparam("before"))
    .order_by(history.c.happened_at)
    .limit(bindparam("most"))
)
_FORGET = delete(history).where(history.c.position.in_(_OLDEST))


class SqlJobHistory(JobHistory):
    """Keeps events in a table of their own; writing opens the database if it is not open yet."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database
        self._record = database.insert(history).on_conflict_do_nothing()

    async def record(self, events: Sequence[JobEvent]) -> None:
        rows = [_row(event) for event in events]
        if rows:
            await self._database.open()
            await self._database.write(lambda connection: connection.execute(self._record, rows))

    async def events(self, tenant: TenantId, job_id: JobId) -> Sequence[JobEvent]:
        parameters = {"of_id": job_id, "of_tenant": tenant}
        rows = await self._database.read(lambda connection: connection.execute(_EVENTS, parameters).all())
        return [read_event(row) for row in rows]

    async def forget(self, before: datetime, *, limit: int) -> int:
        parameters = {"before": to_microseconds(before), "most": limit}
        await self._database.open()
        return await self._database.write(lambda connection: connection.execute(_FORGET, parameters).rowcount)

    async def close(self) -> None:
        """Close the database; only for whoever shares it with nobody."""
        await self._database.close()


def _row(event: JobEvent) -> Parameters:
    happened_at = to_microseconds(datetime.fromisoformat(event.ts))
    return event_row(event) | {"happened_at": happened_at}
