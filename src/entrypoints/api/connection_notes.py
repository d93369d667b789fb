"""Telling the metrics service of sockets that come and go, out of the sockets' way."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from encola.domain.context import TenantId
from encola.domain.event import rfc3339
from encola.domain.json_value import JSON
from encola.entrypoints.use_cases import UseCases

logger = logging.getLogger(__name__)

MAX_WAITING = 1000
QUIET_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 10.0


class ConnectionNotes:
    """Sends notes one after the other, once no socket came or went for a second, or after ten.

    Jobs and their watchers come first: a note costs more than a socket. When too many wait, new
    ones are dropped.

    Without a registered ``metrics`` service it does nothing.
    """

    def __init__(self, use_cases: UseCases) -> None:
        self._use_cases = use_cases
        self._enabled = "metrics" in use_cases.settings.services
        self._waiting: asyncio.Queue[tuple[TenantId, JSON]] = asyncio.Queue(MAX_WAITING)
        self._sender: asyncio.Task[None] | None = None
        self._noted_at = 0.0

    @contextmanager
    def connected(self, tenant: TenantId) -> Iterator[None]:
        """Note that a socket is there while the context lasts."""
        client_id = uuid4().hex
        self._note(tenant, client_id, "register")
        try:
            yield
        finally:
            self._note(tenant, client_id, "unregister")

    def close(self) -> None:
        """Stop sending; what waits is dropped."""
        if self._sender is not None:
            self._sender.cancel()
            self._sender = None

    def _note(self, tenant: TenantId, client_id: str, kind: str) -> None:
        if not self._enabled or self._waiting.full():
            return
        timestamp = rfc3339(self._use_cases.submit_job.clock.now())
        note: JSON = {"client_id": client_id, "connection_type": kind, "timestamp": timestamp}
        self._waiting.put_nowait((tenant, note))
        self._noted_at = asyncio.get_running_loop().time()
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())

    async def _quiet(self) -> None:
        loop = asyncio.get_running_loop()
        latest = loop.time() + LONGEST_WAIT_SECONDS
        while True:
            pause = min(self._noted_at + QUIET_SECONDS, latest) - loop.time()
            if pause <= 0:
                return
            await asyncio.sleep(pause)

    async def _send(self) -> None:
        await self._quiet()
        while not self._waiting.empty():
            tenant, note = self._waiting.get_nowait()
            result = await self._use_cases.call_service(
                "metrics/internal/websocket/connection",
                note,
                operation_type="websocket_handshake",
                tenant_id=tenant,
            )
            if not result.success:
                logger.debug("the metrics service did not take a note: %s", result.error)
