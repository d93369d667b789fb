"""Writing, and then telling whoever watches."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from encola.adapters.sql.database import SqlDatabase
from encola.application.ports import Announcement, Notifier

T = TypeVar("T")


class AnnouncedWrites:
    """Writes and then announces; what is written is announced even when its writer was cancelled."""

    def __init__(self, database: SqlDatabase, notifier: Notifier) -> None:
        self._database = database
        self._notifier = notifier
        self._late: set[asyncio.Task[None]] = set()

    async def __call__(
        self,
        work: Callable[[Connection], T],
        announcement: Announcement,
        *,
        when: Callable[[T], bool] = lambda result: True,
    ) -> T:
        """Return the result of ``work``, announced if ``when`` says so of it.

        :raises StoreUnavailable: the database cannot answer now
        """

        def abandoned(result: T) -> None:
            if when(result):
                task = asyncio.ensure_future(self._publish(announcement))
                self._late.add(task)
                task.add_done_callback(self._late.discard)

        result = await self._database.write(work, abandoned=abandoned)
        if when(result):
            await self._publish(announcement)
        return result

    async def _publish(self, announcement: Announcement) -> None:
        await self._notifier.publish(announcement)
