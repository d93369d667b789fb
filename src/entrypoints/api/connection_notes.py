"""Telling the metrics service of sockets that come and go, out of the sockets' way."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from encola.domain.context import TenantId
from encola.domain.event import rfc3339
from encola.entrypoints.use_cases import UseCases


class ConnectionNotes:
    """Notes each socket when it comes and when it goes; without a ``metrics`` service it does nothing."""

    def __init__(self, use_cases: UseCases) -> None:
        self._notify = use_cases.notify
        self._clock = use_cases.submit_job.clock
        self._is_wanted = "metrics" in use_cases.settings.services

    @contextmanager
    def connected(self, tenant: TenantId) -> Iterator[None]:
        """Note that a socket is there while the context lasts."""
        client_id = uuid4().hex
        self._note(tenant, client_id, "register")
        try:
            yield
        finally:
            self._note(tenant, client_id, "unregister")

    def _note(self, tenant: TenantId, client_id: str, kind: str) -> None:
        if self._is_wanted:
            self._notify(
                "metrics/internal/websocket/connection",
                {
                    "client_id": client_id,
                    "connection_type": kind,
                    "timestamp": rfc3339(self._clock.now()),
                },
                operation_type="websocket_handshake",
                tenant_id=tenant,
            )
