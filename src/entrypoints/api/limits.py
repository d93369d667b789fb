"""What is refused before anything reads it."""

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from encola.entrypoints.api.problems import problem

MAX_BODY_BYTES = 1024 * 1024


class BodyLimit:
    """Answers 413 to bodies over 1 MiB, announced or not, and reads no further.

    FastAPI's own limit answers in plain text, before any of our handlers is asked.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced) > MAX_BODY_BYTES:
            await self._refuse(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            await self._refuse(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = f"The body is larger than {MAX_BODY_BYTES} bytes."
        response = problem(Request(scope), 413, "body_too_large", detail, headers={"Connection": "close"})
        await response(scope, receive, send)


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body, or ``None`` when it is too large."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
