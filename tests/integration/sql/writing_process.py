"""Writes jobs until it is killed; says on standard output what was answered."""

import asyncio
import sys
import uuid
from dataclasses import replace
from datetime import timedelta

from encola.adapters.memory import InProcessNotifier
from encola.adapters.sql import SqlDatabase, SqlJobStore
from encola.domain.context import JobId
from encola.domain.job import Job
from encola.testing.builders import a_job, after


async def live(store: SqlJobStore) -> None:
    while True:
        job = await store.add(replace(a_job(), id=JobId(str(uuid.uuid4()))))
        say(job)
        claimed = job.claimed(after(1), timedelta(seconds=30))
        await store.save(claimed)
        say(claimed)


def say(job: Job) -> None:
    sys.stdout.write(f"{job.id} {job.seq}\n")
    sys.stdout.flush()


async def main(url: str) -> None:
    database = SqlDatabase(url)
    await database.open()
    store = SqlJobStore(database, InProcessNotifier())
    await asyncio.gather(*(live(store) for _ in range(20)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
