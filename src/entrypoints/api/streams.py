"""Server-sent events, and the list of events for those who do not stream."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse

from encola.application.follow_job import FROM_THE_START, Since
from encola.application.ports import Announcement
from encola.domain.context import JobId
from encola.domain.event import JobEvent
from encola.domain.job import Job
from encola.entrypoints.api.jobs import JobIdPath, Tenant
from encola.entrypoints.api.problems import answers
from encola.entrypoints.api.responses import read_since
from encola.entrypoints.api.schemas import EventsPage
from encola.entrypoints.api.strict import StrictRoute
from encola.entrypoints.api.tenancy import use_cases_of
from encola.entrypoints.use_cases import UseCases

router = APIRouter(route_class=StrictRoute, tags=["events"])

PING_SECONDS = 15.0
RECONNECT_MS = 1000

# Before OpenAPI 3.2 the schema of a stream is that of each of its events.
_FRAME: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "`epoch:seq`, for Last-Event-ID"},
        "event": {"enum": ["status_update", "job_completed", "job_error", "output"]},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "description": "the message, as /api/asyncapi.json describes it",
        },
        "retry": {"type": "integer"},
    },
}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "model": EventsPage,
        "description": "The events as JSON, or as a stream when `Accept` asks for text/event-stream.",
        "content": {"text/event-stream": {"schema": _FRAME}},
    },
    204: {"description": "The job has ended and the caller has seen it."},
}


@router.get("/jobs/{job_id}/events", responses=answers(400, 404, 422, 503) | _STREAM, response_model=None)
async def job_events(
    request: Request,
    job_id: JobIdPath,
    tenant: Tenant,
    since: Annotated[
        str | None, Query(max_length=100, description="the last seq, or event id, you have")
    ] = None,
    epoch: Annotated[str | None, Query(max_length=32)] = None,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> Response:
    """Follow a job's events from the first, or after `since`.

    The stream ends after the event that ends the job; a reconnect after it gets 204.
    """
    use_cases = use_cases_of(request)
    start = read_since(last_event_id) or read_since(since, epoch) or FROM_THE_START
    job = await use_cases.get_job(tenant, job_id)
    if not wants_stream(request):
        return await _list(use_cases, job, start)
    if job.status.is_terminal and start.seq >= job.seq and start.epoch in (None, job.epoch):
        return Response(status_code=204)
    stopping: asyncio.Event = request.app.state.runtime.stopping
    return StreamingResponse(
        _frames(use_cases, job, start, stopping),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def wants_stream(request: Request) -> bool:
    """Tell whether ``Accept`` prefers the stream: it does when it says nothing of JSON."""
    accept = request.headers.get("accept", "")
    return "text/event-stream" in accept or "application/json" not in accept


async def _list(use_cases: UseCases, job: Job, start: Since) -> Response:
    missed = await use_cases.follow_job.missed(job.tenant_id, job.id, start)
    # The events are passed on as they were spelt when they happened.
    body = ",".join(event.wire for event in missed.events)
    text = f'{{"events":[{body}],"complete":{str(missed.is_whole).lower()}}}'
    return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})


async def _frames(
    use_cases: UseCases, job: Job, start: Since, stopping: asyncio.Event
) -> AsyncGenerator[str, None]:
    use_cases.metrics.change("encola_watchers", 1, transport="sse")
    yield f"retry: {RECONNECT_MS}\n\n"
    try:
        async with aclosing(use_cases.follow_job(job.tenant_id, JobId(job.id), start)) as announcements:
            async for announcement in with_silences(announcements, PING_SECONDS, stopping):
                yield ": ping\n\n" if announcement is None else _frame(announcement)
    finally:
        use_cases.metrics.change("encola_watchers", -1, transport="sse")


def _frame(announcement: Announcement) -> str:
    if isinstance(announcement, JobEvent):
        head = f"id: {announcement.epoch}:{announcement.seq}\nevent: {announcement.type}\n"
    else:
        head = "event: output\n"
    return f"{head}data: {announcement.wire}\n\n"


async def _next(announcements: AsyncGenerator[Announcement, None]) -> Announcement:
    return await anext(announcements)


async def with_silences(
    announcements: AsyncGenerator[Announcement, None], seconds: float, stopping: asyncio.Event
) -> AsyncGenerator[Announcement | None, None]:
    """Yield the announcements, and ``None`` after each silence; end with them, or when ``stopping``."""
    stop = asyncio.create_task(stopping.wait())
    upcoming: asyncio.Task[Announcement] | None = None
    try:
        while not stopping.is_set():
            upcoming = upcoming or asyncio.create_task(_next(announcements))
            await asyncio.wait({upcoming, stop}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if upcoming.done():
                done, upcoming = upcoming, None
                try:
                    yield done.result()
                except StopAsyncIteration:
                    return
            elif not stopping.is_set():
                yield None
    finally:
        stop.cancel()
        if upcoming is not None:
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)
