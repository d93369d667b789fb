"""The application under test: handlers that record what they do outside the system.

Each start and each end is one line, appended to a file of this worker process in the folder that
``CHAOS_EFFECTS`` names. A line survives the process that wrote it.
"""

import asyncio
import json
import os
import signal
import time
from functools import cache
from pathlib import Path
from typing import Any

from encola import Encola, JobContext, JobFailed
from encola.application.current import current_context

EFFECTS = "CHAOS_EFFECTS"
WORDS = ("uno ", "dos ", "tres ", "cuatro ", "cinco ")

Params = dict[str, Any]


@cache
def _effects() -> int:
    file = Path(os.environ[EFFECTS]) / f"{os.getpid()}.jsonl"
    return os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def note(ctx: JobContext, phase: str) -> None:
    """Record that this attempt is at ``start`` or ``end``, and in which context it finds itself."""
    ambient = current_context()
    line = {
        "phase": phase,
        "job": ctx.job_id,
        "attempt": ctx.attempt,
        "pid": os.getpid(),
        "at": time.time(),
        "tenant": ctx.tenant_id,
        "agent": ctx.agent_id,
        "conversation": ctx.conversation_id,
        "ambient": None if ambient is None else ambient.as_mapping(),
    }
    os.write(_effects(), f"{json.dumps(line)}\n".encode())


def ended(ctx: JobContext) -> Params:
    """Record the end, and return a result that says which attempt made it."""
    note(ctx, "end")
    return {"job": ctx.job_id, "tenant": ctx.tenant_id, "attempt": ctx.attempt, "pid": os.getpid()}


async def short(ctx: JobContext, params: Params) -> Params:
    note(ctx, "start")
    return ended(ctx)


async def progress(ctx: JobContext, params: Params) -> Params:
    note(ctx, "start")
    for step in range(1, params["steps"] + 1):
        # The message tells which attempt really wrote it, whatever the event says.
        await ctx.progress(step, params["steps"], f"attempt {ctx.attempt}")
        await asyncio.sleep(params["pause"])
    return ended(ctx)


async def sleepy(ctx: JobContext, params: Params) -> Params:
    note(ctx, "start")
    await asyncio.sleep(params["seconds"])
    return ended(ctx)


def threaded(ctx: JobContext, params: Params) -> Params:
    note(ctx, "start")
    time.sleep(params["seconds"])
    return ended(ctx)


async def flaky(ctx: JobContext, params: Params) -> Params:
    note(ctx, "start")
    if ctx.attempt <= params["failures"]:
        raise JobFailed("Not yet.", code="not_yet", retryable=True)
    return ended(ctx)


async def broken(ctx: JobContext, params: Params) -> Params:
    note(ctx, "start")
    raise JobFailed("Never.", code="never")


async def hanging(ctx: JobContext, params: Params) -> Params:
    note(ctx, "start")
    await asyncio.sleep(3600)
    return ended(ctx)


async def stubborn(ctx: JobContext, params: Params) -> Params:
    """Swallow the cancellation, and go on writing all the same."""
    note(ctx, "start")
    try:
        await asyncio.sleep(params["seconds"])
    except asyncio.CancelledError:
        await asyncio.sleep(params["seconds"])
    await ctx.progress(1, 1, f"attempt {ctx.attempt}")
    return ended(ctx)


async def blocking(ctx: JobContext, params: Params) -> Params:
    """Hold up the loop, as careless handlers do."""
    note(ctx, "start")
    time.sleep(params["seconds"])  # noqa: ASYNC251 - this is the fault
    return ended(ctx)


async def talkative(ctx: JobContext, params: Params) -> Params:
    note(ctx, "start")
    answer = ctx.output("answer")
    for word in WORDS:
        answer.write(word)
        await asyncio.sleep(params["pause"])
    return ended(ctx)


async def poison(ctx: JobContext, params: Params) -> Params:
    note(ctx, "poison")
    os.kill(os.getpid(), signal.SIGKILL)
    return ended(ctx)


def declare(app: Encola) -> Encola:
    """Register the handlers with an application, and return it."""
    app.job("short")(short)
    app.job("progress")(progress)
    app.job("sleepy")(sleepy)
    app.job("threaded", queue="query_tasks")(threaded)
    app.job("flaky", retries=20)(flaky)
    app.job("broken")(broken)
    app.job("hanging", timeout=1)(hanging)
    app.job("stubborn")(stubborn)
    app.job("blocking")(blocking)
    app.job("talkative", queue="query_tasks")(talkative)
    app.job("poison", queue="embedding_tasks")(poison)
    return app


app = declare(Encola())
