"""``call_service``: the one way in which services call each other over HTTP."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta

from encola.application.current import context_for, current_deadline
from encola.application.ports import Cache, Clock, ServiceCaller
from encola.application.single_flight import SingleFlight
from encola.domain.fingerprint import digest
from encola.domain.job import JobStatus
from encola.domain.json_value import JSON
from encola.domain.operations import Operations
from encola.domain.policy import Repeat
from encola.domain.service import CallMeta, OutputListener, ServiceCall, ServiceError, ServiceResult

TERMINAL = [status.value for status in JobStatus if status.is_terminal]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallService:
    """Call a registered service under the policy of its operation type.

    The context is that of the running request or job; what is passed wins. The time is the
    operation's, cut to what the job or request has left, over all attempts together.
    """

    caller: ServiceCaller
    cache: Cache
    clock: Clock
    operations: Operations = field(default_factory=Operations)
    flights: SingleFlight[ServiceResult] = field(default_factory=SingleFlight)

    async def __call__(
        self,
        url: str,
        data: JSON = None,
        method: str | None = None,
        *,
        operation_type: str,
        tenant_id: str | None = None,
        agent_id: str | None = None,
        conversation_id: str | None = None,
        collection_id: str | None = None,
        use_cache: bool = False,
        cache_ttl: float | None = None,
        max_retries: int | None = None,
        custom_timeout: float | None = None,
        idempotency_key: str | None = None,
        on_output: OutputListener | None = None,
    ) -> ServiceResult:
        """Return ``{success, data, error, meta}``; a failure of the other side is a value.

        ``url`` is ``service/path`` or a URL below a registered base. ``max_retries`` counts what
        follows the first attempt; ``custom_timeout`` (seconds) covers all of them. ``use_cache``
        may answer with a response that was kept for the operation's time to live, or ``cache_ttl``
        seconds.

        :raises UnknownService: the URL is below no registered service; no packet was sent
        :raises UnknownOperation: there is no such operation type
        :raises InvalidContext: there is no tenant, or an identifier is outside the grammar
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
            method=(method or policy.method).upper(),
            data=data,
            timeout=self._time_left(policy.timeout if custom_timeout is None else custom_timeout),
            attempts=policy.attempts if max_retries is None else 1 + max(0, max_retries),
            idempotency_key=idempotency_key,
            on_output=on_output,
        )
        if call.timeout <= 0:
            return _out_of_time(call)
        if use_cache and policy.caches_response and on_output is None:
            return await self._through_cache(
                call, timedelta(seconds=policy.ttl if cache_ttl is None else cache_ttl)
            )
        return await self.caller.call(call)

    def _time_left(self, seconds: float) -> float:
        deadline = current_deadline()
        if deadline is None:
            return seconds
        return min(seconds, (deadline - self.clock.now()).total_seconds())

    async def _through_cache(self, call: ServiceCall, ttl: timedelta) -> ServiceResult:
        key = _cache_key(call)
        return await self._kept(call, key) or await self._with_others(call, key, ttl)

    async def _kept(self, call: ServiceCall, key: str) -> ServiceResult | None:
        hit = await self.cache.get(call.context.tenant_id, key)
        if hit is None:
            return None
        meta = CallMeta(
            service=call.service, operation=call.operation.name, attempts=0, elapsed_ms=0, source="cache"
        )
        return ServiceResult(success=True, data=hit.value, error=None, meta=meta)

    async def _with_others(self, call: ServiceCall, key: str, ttl: timedelta) -> ServiceResult:
        """Ask once for all who ask the same now; each waits no longer than its own time."""
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(call.timeout):
                result, is_shared = await self.flights(
                    (call.context.tenant_id, key), lambda: self._lead(call, key, ttl)
                )
        except TimeoutError:
            return _out_of_time(call)
        if not is_shared:
            return result
        left = call.timeout - (asyncio.get_running_loop().time() - began)
        if not result.success and _is_out_of_time(result) and left > 0:
            return await self._ask_and_keep(replace(call, timeout=left), key, ttl)
        return replace(result, meta=replace(result.meta, source="coalesced"))

    async def _lead(self, call: ServiceCall, key: str, ttl: timedelta) -> ServiceResult:
        # Who asked before may have ended since this caller looked into the cache.
        return await self._kept(call, key) or await self._ask_and_keep(call, key, ttl)

    async def _ask_and_keep(self, call: ServiceCall, key: str, ttl: timedelta) -> ServiceResult:
        result = await self.caller.call(call)
        if result.success and call.operation.repeat is Repeat.SAFE and _lasts(call, result.data):
            await self.cache.put(call.context.tenant_id, key, result.data, ttl=ttl)
        return result


def _cache_key(call: ServiceCall) -> str:
    context = call.context
    names: list[JSON] = [context.agent_id, context.conversation_id, context.collection_id]
    return digest(["call", 1, call.service, call.operation.name, call.method, call.path, call.data, names])


def _lasts(call: ServiceCall, data: JSON) -> bool:
    """Tell whether the answer may be kept: a job's status only once it is terminal."""
    if call.operation.name != "queue_job_status":
        return True
    return isinstance(data, dict) and data.get("status") in TERMINAL


def _is_out_of_time(result: ServiceResult) -> bool:
    return result.error is not None and result.error.code == "deadline_exceeded"


def _out_of_time(call: ServiceCall) -> ServiceResult:
    error = ServiceError(
        code="deadline_exceeded",
        message=f"{call.service}: no time is left for this call",
        status=504,
        retry_stopped_by="deadline",
    )
    meta = CallMeta(
        service=call.service, operation=call.operation.name, attempts=0, elapsed_ms=0, source="local"
    )
    return ServiceResult(success=False, data=None, error=error, meta=meta)
