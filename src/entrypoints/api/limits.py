"""What is refused before anything reads it."""

import asyncio

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from encola.entrypoints.api.problems import problem

MAX_BODY_BYTES = 1024 * 1024
LINGER_SECONDS = 5.0


class BodyLimit:
    """Answers 413 to bodies over 1 MiB, announced or not, and keeps nothing of them.

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
            await _refuse(scope, receive, send, more=True)
            return
        body, more = await _read(receive)
        if body is None:
            await _refuse(scope, receive, send, more=more)
            return
        await self._app(scope, _replay(body, receive), send)


async def _refuse(scope: Scope, receive: Receive, send: Send, *, more: bool) -> None:
    detail = f"The body is larger than {MAX_BODY_BYTES} bytes."
    response = problem(Request(scope), 413, "body_too_large", detail, headers={"Connection": "close"})
    await response(scope, receive, _linger(receive, send) if more else send)


def _linger(receive: Receive, send: Send) -> Send:
    """Hold the end of the response back while the client still sends.

    A connection that is closed with unread bytes is reset, and the client loses our answer.
    """

    async def lingering(message: Message) -> None:
        if message["type"] == "http.response.body":
            await send({**message, "more_body": True})
            await _discard(receive)
            await send({"type": "http.response.body"})
        else:
            await send(message)

    return lingering


async def _discard(receive: Receive) -> None:
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass
    except TimeoutError:
        return


async def _read(receive: Receive) -> tuple[bytes | None, bool]:
    """Return the whole body, or ``None`` when it is too large, and whether more of it follows."""
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
        if size > MAX_BODY_BYTES:
            return None, more
    return b"".join(parts), False


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
