"""The server's half of ``call_service``, for any ASGI application."""

import asyncio
import json
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from encola.application.current import running_in
from encola.application.ports import Clock
from encola.domain.context import ExecutionContext
from encola.domain.errors import InvalidContext
from encola.entrypoints.context_headers import context_fields, first_of_each
from encola.entrypoints.request_ids import RequestIds, request_id_of

MOST_UNDER_WAY = 1_000
LONGEST_SECONDS = 3_600.0

_TIMEOUT = b"x-request-timeout-ms"


class ServiceSide:
    """Middleware that takes up what ``call_service`` sends along.

    - The context in the headers is current while the application handles the request, and so is the
      deadline: what the application calls in turn ends with it. The caller must be trusted, for it
      names the tenant. Of the trace, what cannot be read is dropped; of the baggage, what is not in
      ``baggage``, the names of the members that go on.
    - Every answer says in ``X-Request-ID`` what request it belongs to; one that has no name gets a
      ``new_id``.
    - Work whose caller waits no longer is not begun, and is ended when its time is over: 504
      ``deadline_exceeded``, which is not worth repeating.
    - More requests at once than ``most_under_way`` are refused with 503 and ``retryable: false``, so
      that callers do not add repetitions to the load.

    Requests without these headers are handled as ever.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        clock: Clock,
        most_under_way: int = MOST_UNDER_WAY,
        baggage: Collection[str] = (),
        new_id: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        self._app = app
        self._clock = clock
        self._most = most_under_way
        self._baggage = frozenset(baggage)
        self._under_way = 0
        self._named = RequestIds(self._admit, new_id=new_id)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._named(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._under_way >= self._most:
            await refuse(send, 503, "overloaded", "Too many requests are under way.", retry_after=1)
            return
        self._under_way += 1
        try:
            await self._handle(scope, receive, send)
        finally:
            self._under_way -= 1

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = first_of_each(scope)
        try:
            context = self._context(scope, headers)
        except InvalidContext as error:
            await refuse(send, 422, error.code, str(error))
            return
        seconds = seconds_left(headers)
        if seconds is not None and seconds <= 0:
            await _too_late(send)
        elif context is None:
            await self._in_time(scope, receive, send, seconds)
        else:
            deadline = None if seconds is None else self._clock.now() + timedelta(seconds=seconds)
            with running_in(context, deadline):
                await self._in_time(scope, receive, send, seconds)

    def _context(self, scope: Scope, headers: Mapping[bytes, str]) -> ExecutionContext | None:
        """Return what the headers name; ``None`` when they name no tenant.

        :raises InvalidContext: an identifier is outside the grammar
        """
        fields = context_fields(scope, headers, self._baggage)
        if fields["tenant_id"] is None:
            return None
        return ExecutionContext.from_mapping({**fields, "request_id": request_id_of(scope)})

    async def _in_time(self, scope: Scope, receive: Receive, send: Send, seconds: float | None) -> None:
        answer = _Answer(send)
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                await self._app(scope, receive, answer)
        except TimeoutError:
            if not limit.expired() or answer.has_begun:
                raise
            await _too_late(send)


class _Answer:
    """Passes an answer on, and knows whether it has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False

    async def __call__(self, message: Message) -> None:
        self.has_begun = True
        await self._send(message)


def seconds_left(headers: Mapping[bytes, str]) -> float | None:
    """Return how long the caller waits; ``None`` when it says nothing usable."""
    text = headers.get(_TIMEOUT, "").strip()
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 12:
        return None
    return min(int(text) / 1000, LONGEST_SECONDS)


async def _too_late(send: Send) -> None:
    await refuse(send, 504, "deadline_exceeded", "The caller waits no longer.")


async def refuse(send: Send, status: int, code: str, message: str, retry_after: int | None = None) -> None:
    """Answer with the envelope that ``call_service`` reads; none of these is worth repeating."""
    error = {"code": code, "message": message, "retryable": False}
    body = json.dumps({"success": False, "data": None, "error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
