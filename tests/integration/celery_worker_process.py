"""A worker process: jobs sleep for as many seconds as their params say, and are noted."""

import asyncio
import sys
import threading

from encola.adapters.celery import CeleryWorker
from encola.domain.job import Job


def main(url: str, notes: str, concurrency: str, drain_seconds: str) -> None:
    """Work until told to stop."""

    def note(text: str) -> None:
        with open(notes, "a") as file:
            file.write(f"{text}\n")

    async def run(job: Job) -> None:
        note(f"began {job.id}")
        try:
            await asyncio.sleep(float(str(job.params)))
        except asyncio.CancelledError:
            note(f"cancelled {job.id}")
            raise
        note(f"ended {job.id}")

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    CeleryWorker(
        url,
        run=run,
        loop=loop,
        queues=["agent_tasks"],
        concurrency=int(concurrency),
        drain_seconds=float(drain_seconds),
        on_ready=lambda: note("ready"),
    ).run()
    note("returned")


if __name__ == "__main__":
    main(*sys.argv[1:])
