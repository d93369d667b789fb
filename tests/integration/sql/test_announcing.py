import asyncio

import pytest
from sql_notes import gates

from encola.adapters.sql import SqlDatabase
from encola.domain.event import announce
from encola.testing.builders import ACME, LEASE, a_job, after
from encola.testing.stores import Stores


async def test_what_was_saved_is_announced_although_its_writer_was_cancelled(
    database: SqlDatabase, sql_stores: Stores
) -> None:
    job = await sql_stores.jobs.add(a_job())
    claimed = job.claimed(after(1), LEASE)
    with gates(2) as [before, behind]:
        async with sql_stores.notifier.subscribe(ACME, job.id) as announcements:
            first = asyncio.create_task(database.write(before))
            await before.reached.wait()
            saving = asyncio.create_task(sql_stores.jobs.save(claimed))
            last = asyncio.create_task(database.write(behind))
            await asyncio.sleep(0)
            before.open()
            await behind.reached.wait()  # the save is done now, but not committed
            saving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await saving
            behind.open()
            await asyncio.gather(first, last)

            async with asyncio.timeout(10):
                assert await announcements.receive() == announce(claimed)
    assert await sql_stores.jobs.get(ACME, job.id) == claimed
