"""An application as a user would write it, with handlers that behave and handlers that do not."""

import asyncio
import math
import os
import signal
import time
from pathlib import Path

from pydantic import BaseModel

from encola import Encola, JobContext, JobFailed

app = Encola()


class Greeting(BaseModel):
    name: str
    times: int = 1


@app.job("noop")
async def noop(ctx: JobContext, params: object) -> None:
    return None


@app.job("echo")
async def echo(ctx: JobContext, params: object) -> object:
    return params


@app.job("greet", queue="query_tasks")
async def greet(ctx: JobContext, params: Greeting) -> dict[str, object]:
    return {"text": " ".join([f"hola {params.name}"] * params.times), "tenant": ctx.tenant_id}


@app.job("slow", retries=20)
async def slow(ctx: JobContext, params: dict[str, float]) -> str:
    await asyncio.sleep(params["seconds"])
    return "done"


@app.job("steps")
async def steps(ctx: JobContext, params: dict[str, float]) -> int:
    total = int(params["steps"])
    for step in range(1, total + 1):
        await ctx.progress(step, total, f"paso {step}")
        await asyncio.sleep(params.get("pause", 0))
    return total


@app.job("sync_steps")
def sync_steps(ctx: JobContext, params: dict[str, int]) -> int:
    for step in range(1, params["steps"] + 1):
        ctx.progress(step, params["steps"])
    return params["steps"]


@app.job("talk")
async def talk(ctx: JobContext, params: dict[str, list[str]]) -> str:
    out = ctx.output("answer")
    for word in params["words"]:
        out.write(word)
        await asyncio.sleep(0.01)
    return "".join(params["words"])


@app.job("boom")
async def boom(ctx: JobContext, params: object) -> None:
    raise ValueError("the password is hunter2")


@app.job("decline")
async def decline(ctx: JobContext, params: object) -> None:
    raise JobFailed("The card was declined.", code="card_declined")


@app.job("flaky", retries=5)
async def flaky(ctx: JobContext, params: dict[str, int]) -> int:
    if ctx.attempt < params["succeeds_at"]:
        raise ConnectionError("not yet")
    return ctx.attempt


@app.job("hang", timeout=1)
async def hang(ctx: JobContext, params: object) -> None:
    await asyncio.sleep(3600)


@app.job("hang_sync", timeout=1)
def hang_sync(ctx: JobContext, params: object) -> None:
    time.sleep(3600)


@app.job("not_json")
async def not_json(ctx: JobContext, params: object) -> object:
    return {"value": math.nan}


@app.job("object_result")
async def object_result(ctx: JobContext, params: object) -> object:
    return object()


@app.job("too_large")
async def too_large(ctx: JobContext, params: object) -> str:
    return "x" * (1024 * 1024 + 1)


@app.job("record_start")
async def record_start(ctx: JobContext, params: dict[str, str]) -> None:
    """Leave a trace outside the system of every time it is started."""
    await asyncio.to_thread(_append, Path(params["file"]), f"{ctx.job_id} {ctx.attempt} {os.getpid()}\n")


def _append(file: Path, line: str) -> None:
    with file.open("a") as trace:
        trace.write(line)


@app.job("counted", cache_ttl=60)
async def counted(ctx: JobContext, params: object) -> str:
    return ctx.job_id


@app.job("suicidal")
async def suicidal(ctx: JobContext, params: object) -> None:
    """Kill the worker, as running out of memory does."""
    os.kill(os.getpid(), signal.SIGKILL)


@app.job("traced", retries=5, timeout=600)
async def traced(ctx: JobContext, params: dict[str, object]) -> int:
    """Leave a trace outside the system of every start and every end."""
    file = Path(str(params["file"]))
    await asyncio.to_thread(_append, file, f"start {ctx.job_id} {ctx.attempt} {os.getpid()}\n")
    await asyncio.sleep(float(str(params["seconds"])))
    await asyncio.to_thread(_append, file, f"end {ctx.job_id} {ctx.attempt} {os.getpid()}\n")
    return ctx.attempt
