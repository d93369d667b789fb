"""Asking a service for its ``/health``."""

import asyncio
import json
from typing import cast

import httpx

from encola.adapters.http.messages import OutgoingRequest, host_of
from encola.application.ports import ServiceProbe
from encola.domain.health import Target, problem_in
from encola.domain.json_value import JSON
from encola.domain.policy import get_timeout_for_operation

MAX_BYTES = 64 * 1024
PROBE_SECONDS = get_timeout_for_operation("health_check")
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "encola"}


class HttpServiceProbe(ServiceProbe):
    """Sends one GET without a body; ``transport`` stays the caller's to close.

    Redirects are not followed, and an answer of more than 64 KiB is not one of a ``/health``.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, seconds: float = PROBE_SECONDS) -> None:
        self._transport = transport
        self._seconds = seconds

    async def probe(self, target: Target) -> str | None:
        limit = asyncio.timeout(self._seconds)
        try:
            async with limit:
                return await self._ask(f"{target.base_url.rstrip('/')}/health")
        except httpx.HTTPError as error:
            return f"it could not be asked ({type(error).__name__})"
        except TimeoutError:
            if not limit.expired():
                raise
            return f"it gave no answer within {self._seconds:g} s"

    async def _ask(self, url: str) -> str | None:
        request = OutgoingRequest("GET", url, {"Host": host_of(url), **_HEADERS}, b"")
        response = await self._transport.handle_async_request(request)
        try:
            body = await _beginning(response)
        finally:
            await response.aclose()
        if body is None:
            return f"it answered with more than {MAX_BYTES // 1024} KiB"
        return problem_in(response.status_code, _parsed(body))


async def _beginning(response: httpx.Response) -> bytes | None:
    """Return the body as it was sent, or ``None`` when it is too long to be of any use."""
    body = bytearray()
    async for piece in cast("httpx.AsyncByteStream", response.stream):
        body += piece
        if len(body) > MAX_BYTES:
            return None
    return bytes(body)


def _parsed(body: bytes) -> JSON:
    try:
        value: JSON = json.loads(body)
    except (ValueError, RecursionError):
        return None  # a health page may be text or nothing; its status is what counts
    return value
