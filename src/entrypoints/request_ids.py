"""A name for every request, which the answer and all that follows from the request carry."""

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from encola.domain.context import readable_request_id

_HEADER = b"x-request-id"
_PLACE = "encola.request_id"


class RequestIds:
    """Middleware that takes a request's ``X-Request-ID``, or names it, and answers with that name.

    A name outside the grammar counts as none. Where two of these stand one behind the other, the
    outer one decides.
    """

    def __init__(self, app: ASGIApp, *, new_id: Callable[[], str]) -> None:
        self._app = app
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or _PLACE in scope:
            await self._app(scope, receive, send)
            return
        request_id = _given(scope) or self._new_id()
        scope[_PLACE] = request_id
        header = (_HEADER, request_id.encode())

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = (pair for pair in message.get("headers", ()) if pair[0].lower() != _HEADER)
                message = {**message, "headers": [*others, header]}
            await send(message)

        await self._app(scope, receive, named)


def request_id_of(scope: Scope) -> str | None:
    """Return the name of a request; ``None`` when no :class:`RequestIds` has seen it."""
    request_id: str | None = scope.get(_PLACE)
    return request_id


def _given(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == _HEADER:
            return readable_request_id(value.decode("latin-1").strip())
    return None
