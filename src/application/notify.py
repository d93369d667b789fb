"""Telling a service something without waiting for it."""

import asyncio
import contextvars
import json
import logging
from collections import deque
from dataclasses import dataclass, field

from encola.application.current import context_for
from encola.application.ports import Metrics, ServiceCaller
from encola.domain.json_value import JSON, check_json
from encola.domain.operations import Operations
from encola.domain.service import ServiceCall

logger = logging.getLogger(__name__)

MAX_WAITING = 1000
QUIET_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 2.0
DRAIN_SECONDS = 2.0


@dataclass(slots=True, kw_only=True)
class Notify:
    """Calls services one after the other, behind the backs of those who asked for it.

    What a user waits for comes first: sending begins when nothing was asked for during a quarter of
    a second, or after two. When a thousand notes wait, the oldest is dropped. What could not be
    delivered is counted and logged, and nobody is told: use ``call_service`` for what must arrive.

    Used on one event loop.
    """

    caller: ServiceCaller
    metrics: Metrics
    operations: Operations = field(default_factory=Operations)
    most: int = MAX_WAITING
    quiet: float = QUIET_SECONDS
    longest_wait: float = LONGEST_WAIT_SECONDS
    _waiting: deque[ServiceCall] = field(init=False, default_factory=deque)
    _sender: "asyncio.Task[None] | None" = field(init=False, default=None)
    _noted_at: float = field(init=False, default=0.0)
    _closing: asyncio.Event = field(init=False, default_factory=asyncio.Event)

    def __call__(
        self,
        url: str,
        data: JSON = None,
        *,
        operation_type: str = "queue_notification",
        tenant_id: str | None = None,
        agent_id: str | None = None,
        conversation_id: str | None = None,
        collection_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Have ``url`` called some time soon, with the whole timeout of the operation.

        The parameters are those of ``call_service``. The data is taken as it is now.

        :raises UnknownService: the URL is below no registered service
        :raises UnknownOperation: there is no such operation type
        :raises InvalidContext: there is no tenant, or an identifier is outside the grammar
        :raises NotJson: the data is not JSON
        """
        policy = self.operations.policy_for(operation_type)
        service, path = self.caller.resolve(url)
        call = ServiceCall(
            service=service,
            path=path,
            operation=policy,
            context=context_for(
                tenant_id,
                agent_id=agent_id,
                conversation_id=conversation_id,
                collection_id=collection_id,
            ),
            method=policy.method,
            data=_copied(data),
            timeout=policy.timeout,
            attempts=policy.attempts,
            idempotency_key=idempotency_key,
        )
        self._keep(call)

    @property
    def waiting(self) -> int:
        """Return how many are yet to be sent."""
        return len(self._waiting)

    async def close(self, drain: float = DRAIN_SECONDS) -> None:
        """Send what waits, for ``drain`` seconds at the most; the rest is dropped, and all that comes."""
        self._closing.set()
        sender, self._sender = self._sender, None
        if sender is not None:
            await asyncio.wait({sender}, timeout=drain)
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
        while self._waiting:
            self._drop(self._waiting.popleft(), "closed")

    def _keep(self, call: ServiceCall) -> None:
        if self._closing.is_set():
            self._drop(call, "closed")
            return
        loop = asyncio.get_running_loop()
        if len(self._waiting) >= self.most:
            self._drop(self._waiting.popleft(), "full")
        self._waiting.append(call)
        self._noted_at = loop.time()
        if self._sender is None or self._sender.done():
            # It works for many: nothing of the request that came first may cling to it.
            self._sender = loop.create_task(self._send_all(), context=contextvars.Context())

    async def _send_all(self) -> None:
        await self._until_quiet()
        while self._waiting:
            call = self._waiting.popleft()
            try:
                result = await self.caller.call(call)
            except asyncio.CancelledError:
                self._drop(call, "closed")
                raise
            except Exception as error:
                self._drop(call, "failed")
                logger.warning("a note to %s could not be sent: %s", call.service, type(error).__name__)
            else:
                if result.error is not None:
                    self._drop(call, "failed")

    async def _until_quiet(self) -> None:
        loop = asyncio.get_running_loop()
        latest = loop.time() + self.longest_wait
        while (pause := min(self._noted_at + self.quiet, latest) - loop.time()) > 0:
            try:
                async with asyncio.timeout(pause):
                    await self._closing.wait()
                    return
            except TimeoutError:
                continue

    def _drop(self, call: ServiceCall, reason: str) -> None:
        self.metrics.count(
            "encola_notes_dropped_total",
            service=call.service,
            operation=call.operation.name,
            reason=reason,
        )


def _copied(data: JSON) -> JSON:
    """Return the data as it is now, whatever its owner does with it later.

    :raises NotJson: it is not JSON
    """
    if data is None:
        return None
    copy: JSON = json.loads(json.dumps(check_json(data)))
    return copy
