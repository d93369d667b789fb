"""The two jobs in Encola."""

import asyncio

from bench.distributed.peers.payload import NAP_SECONDS, RESULT
from encola import Encola, JobContext

app = Encola()


@app.job("noop", queue="bench_encola")
async def noop(ctx: JobContext, params: object) -> object:
    """Return at once."""
    return RESULT


@app.job("nap", queue="bench_encola")
async def nap(ctx: JobContext, params: object) -> object:
    """Wait as for a slow service."""
    await asyncio.sleep(NAP_SECONDS)
    return RESULT
