"""All events of all jobs in the order of their writing, in SQL."""

from collections.abc import Sequence

from sqlalchemy import Connection, Row, bindparam, select, update

from encola.adapters.sql.database import SqlDatabase
from encola.adapters.sql.rows import EVENT_COLUMNS, read_event
from encola.adapters.sql.tables import cursors, events
from encola.application.ports import FeedEntry, JobFeed

_CURSOR = select(cursors.c.position).where(cursors.c.consumer == bindparam("of_consumer"))
_FIRST = (
    select(*EVENT_COLUMNS, events.c.position)
    .where(events.c.position > bindparam("after"))
    .order_by(events.c.position)
    .limit(bindparam("most"))
)
_ADVANCE = (
    update(cursors)
    .where(cursors.c.consumer == bindparam("of_consumer"), cursors.c.position < bindparam("to"))
    .values(position=bindparam("to"))
)


class SqlJobFeed(JobFeed):
    """Reads the events' table from where each consumer stands.

    A consumer is known from its first call on; from then the events that it has not acknowledged
    are kept.
    """

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database
        self._enter = database.insert(cursors).on_conflict_do_nothing()

    async def read(self, consumer: str, *, limit: int) -> Sequence[FeedEntry]:
        def work(connection: Connection) -> Sequence[Row[*tuple[object, ...]]] | None:
            position = connection.scalar(_CURSOR, {"of_consumer": consumer})
            if position is None:
                return None
            return connection.execute(_FIRST, {"after": position, "most": limit}).all()

        rows = await self._database.read(work)
        if rows is None:
            await self._advance(consumer, 0)
            rows = await self._database.read(work)
        return [FeedEntry(position=row.position, event=read_event(row)) for row in rows or ()]

    async def acknowledge(self, consumer: str, position: int) -> None:
        await self._advance(consumer, position)

    async def _advance(self, consumer: str, position: int) -> None:
        def work(connection: Connection) -> None:
            connection.execute(self._enter, {"consumer": consumer, "position": 0})
            connection.execute(_ADVANCE, {"of_consumer": consumer, "to": position})

        await self._database.write(work)
