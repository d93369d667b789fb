import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from encola.adapters.memory import InProcessNotifier
from encola.adapters.sql import SqlDatabase, SqlJobFeed, SqlJobStore
from encola.domain.context import JobId
from encola.testing.builders import ACME

PROGRAM = Path(__file__).parent / "writing_process.py"


def write_and_kill(url: str, answers: int) -> dict[JobId, int]:
    """Kill a writing process after so many answers; return the last answered ``seq`` of each job."""
    with subprocess.Popen([sys.executable, PROGRAM, url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(answers)]
        process.kill()
        lines += process.stdout.readlines()
    answered = (line.split() for line in lines if line.endswith("\n"))
    return {JobId(job_id): int(seq) for job_id, seq in answered}


@pytest.mark.parametrize("answers", [1, 250, 777])
async def test_after_a_kill_every_answered_write_is_there_and_nothing_is_half_written(
    url: str, answers: int
) -> None:
    answered = write_and_kill(url, answers)

    database = SqlDatabase(url)
    await database.open()
    store = SqlJobStore(database, InProcessNotifier())
    entries = await SqlJobFeed(database).read("test", limit=100_000)
    jobs = {job_id: await store.get(ACME, job_id) for job_id in {entry.event.job_id for entry in entries}}
    for job_id, seq in answered.items():
        assert jobs[job_id].seq >= seq
    for job_id, job in jobs.items():
        assert [event.seq for event in await store.events(ACME, job_id)] == list(range(1, job.seq + 1))
    if url.startswith("sqlite"):
        check = text("PRAGMA integrity_check")
        assert await database.read(lambda connection: connection.scalar(check)) == "ok"
    await database.close()
