"""Encola, asked over REST as any client asks it."""

import asyncio
import os
from itertools import islice, repeat

import aiohttp

from bench.distributed.peers.payload import PARAMS

AT_ONCE = 64


def submit(task: str, jobs: int) -> list[str]:
    """Post from tasks side by side, and return where Encola keeps the jobs."""
    return asyncio.run(_submit({"type": task, "params": PARAMS}, jobs))


async def _submit(body: object, jobs: int) -> list[str]:
    bodies = islice(repeat(body), jobs)
    url = f"{os.environ['BENCH_ENCOLA_URL']}/api/jobs"
    keys: list[str] = []

    async def submitter() -> None:
        for one in bodies:
            async with session.post(url, json=one) as answer:
                answer.raise_for_status()
                keys.append(f"encola:{{0}}:default:job:{(await answer.json())['job_id']}")

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(submitter() for _ in range(AT_ONCE)))
    return keys
