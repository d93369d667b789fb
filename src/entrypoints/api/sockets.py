"""The seed's socket: one job, three kinds of message, nothing asked of the client."""

import asyncio
import logging
from contextlib import aclosing

from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from encola.application.follow_job import Since
from encola.domain.context import JobId, TenantId, parse_job_id, parse_tenant, present
from encola.domain.errors import EncolaError, JobNotFound
from encola.domain.event import JobEvent
from encola.entrypoints.api.connection_notes import ConnectionNotes
from encola.entrypoints.api.problems import RETRY_AFTER, STATUS_OF, Refused
from encola.entrypoints.api.responses import read_since
from encola.entrypoints.api.tenancy import FOREIGN_ORIGIN, is_allowed_origin, use_cases_of
from encola.entrypoints.use_cases import UseCases

logger = logging.getLogger(__name__)

Followed = tuple[TenantId, JobId]

LINGER_SECONDS = 30.0
SEND_SECONDS = 10.0
BROKEN = 1011
GOING_AWAY = 1012


async def watch_job(websocket: WebSocket) -> None:
    """Send the job's state and what follows it, up to its end.

    Starts with the present state, or after ``?since=`` (and ``epoch``) with what was missed.
    """
    if not is_allowed_origin(websocket):
        await _refuse(websocket, 403, FOREIGN_ORIGIN)
        return
    use_cases = use_cases_of(websocket)
    try:
        since = read_since(websocket.query_params.get("since"), websocket.query_params.get("epoch"))
        followed = await _find(use_cases, websocket, websocket.path_params["job_id"])
    except EncolaError as error:
        await _refuse(websocket, STATUS_OF[type(error)], str(error))
        return
    except Refused as error:
        await _refuse(websocket, error.status_code, error.detail)
        return
    await websocket.accept()
    notes: ConnectionNotes = websocket.app.state.connection_notes
    with notes.connected(followed[0]):
        use_cases.metrics.change("encola_watchers", 1, transport="websocket")
        try:
            await _serve(websocket, use_cases, followed, since)
        finally:
            use_cases.metrics.change("encola_watchers", -1, transport="websocket")


async def _find(use_cases: UseCases, websocket: WebSocket, job_id: str) -> Followed:
    """Return the job that may be watched.

    Browsers cannot set headers on a socket, and without authentication a header would prove
    nothing: who names no tenant is let in by the job's unguessable id.
    """
    known = parse_job_id(job_id)
    named = present(websocket.headers.get("x-tenant-id") or websocket.query_params.get("tenant_id"))
    if named is not None:
        return (await use_cases.get_job(parse_tenant(named), job_id)).tenant_id, known
    owner = await use_cases.catalog.owner_of(known) if use_cases.settings.auth == "none" else None
    if owner is None:
        raise JobNotFound(job_id)
    return owner, known


async def _serve(websocket: WebSocket, use_cases: UseCases, followed: Followed, since: Since | None) -> None:
    stopping: asyncio.Event = websocket.app.state.runtime.stopping
    sender = asyncio.create_task(_send_all(websocket, use_cases, followed, since))
    leaver = asyncio.create_task(_until_closed(websocket))
    stop = asyncio.create_task(stopping.wait())
    tasks = {sender, leaver, stop}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if websocket.application_state is WebSocketState.CONNECTED and not _has_left(leaver):
        await _close(websocket, _close_code(sender, stopping))


def _close_code(sender: "asyncio.Task[None]", stopping: asyncio.Event) -> int:
    """Return 1000 for a job that was shown to its end; else what clients come back after."""
    if stopping.is_set():
        return GOING_AWAY
    failure = None if sender.cancelled() else sender.exception()
    if failure is None:
        return 1000
    logger.warning("a watcher was left before the end (%s)", type(failure).__name__)
    return BROKEN


def _has_left(leaver: "asyncio.Task[None]") -> bool:
    """Tell whether the client closed the socket itself."""
    return leaver.done() and not leaver.cancelled()


async def _send_all(
    websocket: WebSocket, use_cases: UseCases, followed: Followed, since: Since | None
) -> None:
    async with aclosing(use_cases.follow_job(*followed, since)) as announcements:
        async for announcement in announcements:
            if isinstance(announcement, JobEvent):
                async with asyncio.timeout(SEND_SECONDS):
                    await websocket.send_text(announcement.wire)
    # The client closes when it has read the end; one that does not is closed a little later.
    await asyncio.sleep(LINGER_SECONDS)


async def _until_closed(websocket: WebSocket) -> None:
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return


async def _close(websocket: WebSocket, code: int) -> None:
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await websocket.close(code)
    except (RuntimeError, WebSocketDisconnect, TimeoutError):
        return  # it was gone already


async def _refuse(websocket: WebSocket, status: int, message: str) -> None:
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        body = {"status": status, "message": message, "detail": message}
        headers = {"Retry-After": RETRY_AFTER[status]} if status in RETRY_AFTER else {}
        response = JSONResponse(
            body, status_code=status, media_type="application/problem+json", headers=headers
        )
        await websocket.send_denial_response(response)
    else:
        await websocket.close()


# FastAPI's own kind of route costs a third more for each socket, and has nothing to resolve here.
route = WebSocketRoute("/api/ws/jobs/{job_id}", watch_job)
