"""Keeping foreign pages out of a server that asks nobody who they are."""

from collections.abc import Collection
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from encola.entrypoints.api.problems import problem


class LocalHosts:
    """Answers only to names of this machine, and to those that are allowed.

    A page of another site may have its own name resolve to 127.0.0.1 ("DNS rebinding") and would
    then count as ours; but its name stays in the ``Host`` of what it sends.
    """

    def __init__(self, app: ASGIApp, allowed: Collection[str]) -> None:
        self._app = app
        self._allowed = frozenset(allowed)
        self._is_ours = lru_cache(maxsize=1000)(self._is_one_of_ours)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "lifespan" or self._is_ours(Headers(scope=scope).get("host", "")):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            detail = "This server answers to names of this machine only; see ENCOLA_ALLOWED_HOSTS."
            response = problem(Request(scope), 403, "foreign_host", detail)
            await response(scope, receive, send)

    def _is_one_of_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self._allowed or name == "localhost" or ip_address(name).is_loopback
        except ValueError:
            return False
