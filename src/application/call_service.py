"""``call_service``: the one way in which services call each other over HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from encola.application.current import context_for, current_deadline
from encola.application.kept_answer import out_of_time
from encola.application.ports import Clock, ServiceCaller
from encola.application.response_cache import ResponseCache, tags_of
from encola.domain.json_value import JSON
from encola.domain.operations import Operations
from encola.domain.service import OutputListener, ServiceCall, ServiceResult


@dataclass(frozen=True, slots=True, kw_only=True)
class CallService:
    """Call a registered service under the policy of its operation type.

    The context is that of the running request or job; what is passed wins. The time is the
    operation's, cut to what the job or request has left, over all attempts together.
    """

    caller: ServiceCaller
    responses: ResponseCache
    clock: Clock
    operations: Operations = field(default_factory=Operations)

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
        cache_tags: Sequence[str] = (),
        max_retries: int | None = None,
        custom_timeout: float | None = None,
        idempotency_key: str | None = None,
        on_output: OutputListener | None = None,
    ) -> ServiceResult:
        """Return ``{success, data, error, meta}``; a failure of the other side is a value.

        ``url`` is ``service/path`` or a URL below a registered base. ``max_retries`` counts what
        follows the first attempt; ``custom_timeout`` (seconds) covers all of them. ``use_cache``
        may answer with a response that was kept for the operation's time to live, or ``cache_ttl``
        seconds; it is kept under ``cache_tags`` and those of the operation, see :meth:`invalidate`.

        :raises UnknownService: the URL is below no registered service; no packet was sent
        :raises UnknownOperation: there is no such operation type
        :raises InvalidContext: there is no tenant, or an identifier is outside the grammar
        """
        policy = self.operations.policy_for(operation_type)
        service, path = self.caller.resolve(url)
        context = context_for(
            tenant_id, agent_id=agent_id, conversation_id=conversation_id, collection_id=collection_id
        )
        method = policy.method if method is None else method.upper()
        through_cache = use_cache and policy.caches_response and on_output is None
        if through_cache:
            remembered = self.responses.recall(context, policy, service, path, method, data)
            if remembered is not None:
                return remembered
        call = ServiceCall(
            service=service,
            path=path,
            operation=policy,
            context=context,
            method=method,
            data=data,
            timeout=self._time_left(policy.timeout if custom_timeout is None else custom_timeout),
            attempts=policy.attempts if max_retries is None else 1 + max(0, max_retries),
            idempotency_key=idempotency_key,
            cache_tags=tuple(cache_tags),
            on_output=on_output,
        )
        if call.timeout <= 0:
            return out_of_time(call)
        if through_cache:
            ttl = policy.ttl if cache_ttl is None else cache_ttl
            return await self.responses.answer(call, ttl, self.caller.call)
        try:
            return await self.caller.call(call)
        finally:
            if policy.invalidates:
                # Also after a failure or when nobody waits any more: it may have had its effect.
                await self.responses.invalidate(call.context.tenant_id, tags_of(call, policy.invalidates))

    async def invalidate(self, *tags: str, tenant_id: str | None = None) -> None:
        """Forget the cached answers of a tenant that carry one of the tags, as ``collection:docs``.

        :raises InvalidContext: there is no tenant, or its name is outside the grammar
        """
        await self.responses.invalidate(context_for(tenant_id).tenant_id, tags)

    def _time_left(self, seconds: float) -> float:
        deadline = current_deadline()
        if deadline is None:
            return seconds
        return min(seconds, (deadline - self.clock.now()).total_seconds())
