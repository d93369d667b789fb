"""A history service that remembers in which order it was told what."""

import asyncio
import json
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from encola.entrypoints.server import serving, take_port
from encola.testing.loopback import HOST


@dataclass(slots=True, kw_only=True)
class Past:
    """What the service was told of one job: each event once, in the order of first arrival."""

    events: list[dict[str, Any]] = field(default_factory=list)
    repeats: int = 0
    contradictions: list[int] = field(default_factory=list)

    def add(self, event: dict[str, Any]) -> None:
        """Note an event; one that is known already is counted as a repeat, if it is the same."""
        name = (event["epoch"], event["seq"])
        known = next((one for one in self.events if (one["epoch"], one["seq"]) == name), None)
        if known is None:
            self.events.append(event)
        elif known == event:
            self.repeats += 1
        else:
            self.contradictions.append(event["seq"])


class HistoryService:
    """Takes registrations and updates of jobs; can be away, and be back on the same port."""

    def __init__(self, port: int) -> None:
        self.url = f"http://{HOST}:{port}"
        self._port = port
        self._jobs: dict[tuple[str, str], Past] = defaultdict(Past)
        self._up: AsyncExitStack | None = None
        self._changing = asyncio.Lock()

    def told_of(self, tenant: str, job_id: str) -> Past:
        """Return what is known of a job; nothing of an unknown one."""
        return self._jobs.get((tenant, job_id), Past())

    async def start(self) -> None:
        """Begin to answer; a no-op if it does."""
        async with self._changing:
            if self._up is None:
                self._up = AsyncExitStack()
                listener = self._up.enter_context(take_port(HOST, self._port))
                await self._up.enter_async_context(serving(self._app(), listener, log_level="error"))

    async def stop(self) -> None:
        """Be away: connections are refused."""
        async with self._changing:
            if self._up is not None:
                await self._up.aclose()
                self._up = None

    def _app(self) -> Starlette:
        paths = ("/internal/jobs/register", "/internal/jobs/update")
        return Starlette(routes=[Route(path, self._take, methods=["POST"]) for path in paths])

    async def _take(self, request: Request) -> Response:
        try:
            told = json.loads(await request.body())
        except ClientDisconnect:  # it was killed while it told us
            return Response(status_code=400)
        tenant = request.headers["x-tenant-id"]
        self._jobs[tenant, told["job_id"]].add(told["event"])
        return JSONResponse({"success": True, "data": {"job_id": told["job_id"]}})
