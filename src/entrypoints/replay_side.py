"""Answering a repeated ``Idempotency-Key`` with what was answered before, for any ASGI application."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from encola.application.ports import Cache
from encola.domain.context import TenantId, parse_tenant, present
from encola.domain.errors import InvalidContext
from encola.domain.fingerprint import digest
from encola.domain.policy import OPERATIONS, OperationPolicy
from encola.entrypoints.context_headers import first_of_each
from encola.entrypoints.service_side import refuse, seconds_left

MOST_BYTES = 1024 * 1024
LONGEST_WORK = timedelta(minutes=5)
KEPT_FOR = timedelta(minutes=30)

_OPERATION = b"x-operation"
_METHODS = frozenset({"POST", "PATCH"})
_KEPT_HEADERS = frozenset({"content-type", "location", "etag"})


@dataclass(frozen=True, slots=True)
class _Keyed:
    """A request with a key: whose, under which name its answer is kept, what it asks, how long it counts."""

    tenant: TenantId
    name: str
    work: str
    kept_for: timedelta


class ReplaySide:
    """Middleware that lets a keyed request have its effect once, as draft-ietf-httpapi-idempotency-key.

    The first answer to a tenant's ``Idempotency-Key`` at a path is kept and given to every
    repetition, with ``Idempotent-Replayed: true``. A repetition that comes while the first is under
    way gets 409, one with another body 422. Answers of 500 and more, 408, 425 and 429 are not kept,
    nor are those larger than a mebibyte: the work may be tried again then.

    An answer is kept for the time to live of the operation that the caller names in ``X-Operation``,
    but for as long as the caller may repeat the request at least; for ``kept_for`` when it names none
    of ``operations``.

    What is kept is in a cache: a service that must not lose it even when the cache does, or when it
    dies between its effect and its answer, has to recognise the key itself.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        cache: Cache,
        kept_for: timedelta = KEPT_FOR,
        operations: Mapping[str, OperationPolicy] = OPERATIONS,
    ) -> None:
        self._app = app
        self._cache = cache
        self._kept_for = kept_for
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        headers = first_of_each(scope) if scope["type"] == "http" else {}
        key = headers.get(b"idempotency-key", "").strip()
        named = present(headers.get(b"x-tenant-id"))
        if not key or named is None or scope["method"] not in _METHODS:
            await self._app(scope, receive, send)
            return
        try:
            tenant = parse_tenant(named)
        except InvalidContext as error:
            await refuse(send, 422, error.code, str(error))
            return
        body = await _read(receive)
        if body is None:
            await refuse(send, 413, "payload_too_large", "A keyed request has at most 1 MiB.")
            return
        name = "replay:" + digest(
            [1, scope["method"], scope["path"], scope["query_string"].decode("latin-1"), key]
        )
        keyed = _Keyed(tenant, name, hashlib.sha256(body).hexdigest(), self._window(headers))
        await self._once(scope, _replay(body, receive), send, keyed)

    def _window(self, headers: Mapping[bytes, str]) -> timedelta:
        """Return how long the answer is replayed."""
        policy = self._operations.get(headers.get(_OPERATION, "").strip())
        if policy is None:
            return self._kept_for
        return timedelta(seconds=max(policy.ttl, policy.timeout, seconds_left(headers) or 0))

    async def _once(self, scope: Scope, receive: Receive, send: Send, keyed: _Keyed) -> None:
        if await self._answered_before(send, keyed):
            return
        if not await self._cache.lease(keyed.tenant, keyed.name, ttl=LONGEST_WORK):
            await refuse(
                send, 409, "in_progress", "The first request with this key is under way.", retry_after=1
            )
            return
        try:
            # The first may have ended between the two looks.
            if not await self._answered_before(send, keyed):
                await self._answer(scope, receive, send, keyed)
        finally:
            await self._cache.release(keyed.tenant, keyed.name)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, keyed: _Keyed) -> None:
        """Handle the request, and keep the answer before the caller has all of it."""
        answer = _Answer(send)
        await self._app(scope, receive, answer)
        kept = answer.kept
        if kept is not None:
            value = {"work": keyed.work, **kept}
            await self._cache.put(keyed.tenant, keyed.name, value, ttl=keyed.kept_for)
        await answer.end()

    async def _answered_before(self, send: Send, keyed: _Keyed) -> bool:
        hit = await self._cache.get(keyed.tenant, keyed.name)
        if hit is None:
            return False
        kept: Any = hit.value
        if kept["work"] != keyed.work:
            await refuse(send, 422, "idempotency_mismatch", "This key was used with a different request.")
            return True
        headers = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in kept["headers"].items()]
        body = kept["body"].encode("latin-1")
        headers += [(b"content-length", str(len(body)).encode()), (b"idempotent-replayed", b"true")]
        await send({"type": "http.response.start", "status": kept["status"], "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return True


class _Answer:
    """Passes an answer on but for its end, and keeps a copy while it is small."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._is_large = False
        self._last: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = _worth_keeping(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self._note(message.get("body", b""))
            if not message.get("more_body", False):
                self._last = message
                return
        await self._send(message)

    @property
    def kept(self) -> dict[str, Any] | None:
        """Return the answer as it may be kept, or ``None`` when it may not."""
        is_for_good = self._last is not None and self._status < 500 and self._status not in (408, 425, 429)
        if not is_for_good or self._is_large:
            return None
        return {"status": self._status, "headers": self._headers, "body": self._body.decode("latin-1")}

    async def end(self) -> None:
        """Send the end of the answer."""
        if self._last is not None:
            await self._send(self._last)

    def _note(self, part: bytes) -> None:
        self._is_large = self._is_large or len(self._body) + len(part) > MOST_BYTES
        if not self._is_large:
            self._body += part


def _worth_keeping(headers: Any) -> dict[str, str]:
    pairs = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers)
    return {name: value for name, value in pairs if name in _KEPT_HEADERS}


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body, or ``None`` when it is too large."""
    body = bytearray()
    while True:
        message: Mapping[str, Any] = await receive()
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
