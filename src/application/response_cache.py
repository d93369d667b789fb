"""Answers of services that are kept, in this process and for all of them."""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import timedelta
from random import random
from typing import Any, Final, TypeVar

from encola.application.kept_answer import KeptAnswer, kept_result, out_of_time
from encola.application.local_cache import LocalCache, quick_key
from encola.application.ports import Cache, Clock, Marks, Metrics
from encola.application.single_flight import SingleFlight
from encola.domain.context import ExecutionContext, TenantId
from encola.domain.errors import StoreUnavailable
from encola.domain.fingerprint import digest
from encola.domain.job import JobStatus
from encola.domain.json_value import JSON
from encola.domain.policy import OperationPolicy
from encola.domain.service import ServiceCall, ServiceResult

CACHE_SECONDS: Final = 0.25
AWAY_SECONDS: Final = 1.0
LOCAL_SECONDS: Final = 5.0
LOCAL_SHARE: Final = 0.1
NEGATIVE_SECONDS: Final = 5.0
LEASE_SECONDS: Final = 30.0
SPREAD: Final = 0.1
FIRST_PAUSE: Final = 0.01
LONGEST_PAUSE: Final = 0.1
REFRESHES: Final = 100
MOMENT: Final = 0.005

_TERMINAL = frozenset(status.value for status in JobStatus if status.is_terminal)
_NOTHING_THERE = frozenset({"not_found", "gone"})
_NOT_THE_CALLERS_FAULT = frozenset(
    {
        "upstream_error",
        "upstream_unavailable",
        "attempt_timeout",
        "deadline_exceeded",
        "circuit_open",
        "bulkhead_full",
        "rate_limited",
        "invalid_response",
        "response_too_large",
    }
)

Ask = Callable[[ServiceCall], Awaitable[ServiceResult]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Question:
    """One call, and how its answer is found and kept; ``marks`` are of the local cache before it."""

    call: ServiceCall
    ttl: float
    ask: Ask
    key: str
    quick: Hashable | None
    tags: tuple[str, ...]
    marks: Marks

    @property
    def tenant(self) -> TenantId:
        return self.call.context.tenant_id


class ResponseCache:
    """Answers calls from what was answered before, and asks once for all who ask the same.

    First what this process was answered in the last seconds, then what any process was; an answer that
    is no longer fresh is still given while one caller fetches it anew, or when the service fails, as
    far as the operation allows. A cache that is away counts as empty: it delays a caller by a quarter of
    a second, and is then left alone for a second.

    :param now: monotonic seconds
    :param chance: uniform in [0, 1); spreads the times at which answers end
    """

    def __init__(
        self,
        cache: Cache,
        clock: Clock,
        metrics: Metrics,
        *,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random,
    ) -> None:
        self._cache = cache
        self._clock = clock
        self._metrics = metrics
        self._chance = chance
        self._now = now
        self._away_until = -math.inf
        self._local = LocalCache(now)
        self._flights: SingleFlight[ServiceResult] = SingleFlight()
        self._refreshes: dict[object, asyncio.Task[object]] = {}

    def recall(
        self,
        context: ExecutionContext,
        operation: OperationPolicy,
        service: str,
        path: str,
        method: str,
        data: JSON,
    ) -> ServiceResult | None:
        """Return what this process was answered in the last seconds, or ``None``."""
        quick = quick_key(context, operation, service, path, method, data)
        text = None if quick is None else self._local.get(quick)
        if text is None:
            return None
        self._count(operation.name, "l1")
        return kept_result(context, service, operation.name, _decode(text), "l1")

    async def answer(self, call: ServiceCall, ttl: float, ask: Ask) -> ServiceResult:
        """Return an answer that all processes keep, or what ``ask`` brings.

        :param ttl: how many seconds an answer is fresh
        """
        quick = quick_key(call.context, call.operation, call.service, call.path, call.method, call.data)
        tags = (*tags_of(call, call.operation.tags), *call.cache_tags)
        marks = self._local.marks(call.context.tenant_id, tags)
        question = _Question(call, ttl, ask, _key(call), quick, tags, marks)
        result = await self._with_others(question)
        self._count(call.operation.name, result.meta.source)
        return result

    async def invalidate(self, tenant: TenantId, tags: Sequence[str]) -> None:
        """Forget the tenant's answers that carry one of the tags, those that are under way included.

        Other processes may give them for five seconds more, from what they remember themselves.
        """
        self._local.forget(tenant, tags)
        await self._in_time(self._cache.forget(tenant, *tags), None)
        # Meanwhile somebody may have read what was just about to be forgotten.
        self._local.forget(tenant, tags)

    async def close(self) -> None:
        """End what is being fetched for nobody in particular."""
        for task in self._refreshes.values():
            task.cancel()
        await asyncio.gather(*self._refreshes.values(), return_exceptions=True)

    async def _with_others(self, question: _Question) -> ServiceResult:
        """Find out once for all who ask the same now; each waits no longer than its own time."""
        call = question.call
        loop = asyncio.get_running_loop()
        end = loop.time() + call.timeout
        try:
            async with asyncio.timeout_at(end):
                result, is_shared = await self._flights(
                    (question.tenant, question.key), lambda: self._find(question)
                )
        except TimeoutError:
            return out_of_time(call)
        if not is_shared:
            return result
        left = end - loop.time()
        if _is_out_of_time(result) and left > 0:
            return await self._ask_and_keep(replace(question, call=replace(call, timeout=left)))
        source = "coalesced" if result.meta.source == "upstream" else result.meta.source
        meta = replace(result.meta, source=source, request_id=call.context.request_id or "")
        return replace(result, data=deepcopy(result.data), meta=meta)

    async def _find(self, question: _Question) -> ServiceResult:
        kept = await self._kept(question)
        now = self._clock.now().timestamp()
        if kept is None:
            return await self._fetch(question)
        if now < kept.fresh_until:
            self._remember(question, kept, question.marks)
            return kept.result(question.call, "l2")
        if now < kept.fresh_until + min(question.call.operation.swr, question.ttl):
            self._refresh(question)
            return kept.result(question.call, "stale")
        # With a moment left to give what is kept after all.
        timeout = max(MOMENT, question.call.timeout - MOMENT)
        result = await self._fetch(replace(question, call=replace(question.call, timeout=timeout)))
        is_failed = result.error is not None and result.error.code in _NOT_THE_CALLERS_FAULT
        if is_failed and now < kept.fresh_until + question.call.operation.sie:
            return kept.result(question.call, "stale")
        return result

    async def _fetch(self, question: _Question) -> ServiceResult:
        """Ask, unless another process does; then wait for what that is answered."""
        tenant, key, pause = question.tenant, question.key, FIRST_PAUSE
        ttl = timedelta(seconds=min(LEASE_SECONDS, question.call.timeout))
        while not await self._in_time(self._cache.lease(tenant, key, ttl=ttl), True):
            await asyncio.sleep(pause * self._chance())
            pause = min(LONGEST_PAUSE, 2 * pause)
            found = await self._fresh(question)
            if found is not None:
                return found.result(question.call, "coalesced")
        try:
            # Who asked before may have ended since this caller looked into the cache.
            found = await self._fresh(question)
            return found.result(question.call, "l2") if found else await self._ask_and_keep(question)
        finally:
            await self._in_time(self._cache.release(tenant, key), None)

    async def _ask_and_keep(self, question: _Question) -> ServiceResult:
        tenant, tags = question.tenant, question.tags
        local_marks = self._local.marks(tenant, tags)
        marks = await self._in_time(self._cache.marks(tenant, tags), None) if tags else ()
        result = await question.ask(question.call)
        kept = self._worth_keeping(question, result)
        if kept is not None:
            self._remember(question, kept, local_marks)
            if marks is not None:
                ttl = timedelta(seconds=kept.usable_until - self._clock.now().timestamp())
                put = self._cache.put(tenant, question.key, kept.as_json(), ttl=ttl, tags=tags, marks=marks)
                await self._in_time(put, None)
        return result

    def _worth_keeping(self, question: _Question, result: ServiceResult) -> KeptAnswer | None:
        policy, now = question.call.operation, self._clock.now().timestamp()
        if result.error is None and _lasts(question.call, result.data):
            until = now + question.ttl * (1 - SPREAD + 2 * SPREAD * self._chance())
            return KeptAnswer(result.data, None, until, until + max(policy.swr, policy.sie))
        if result.error is not None and policy.negative_ttl and result.error.code in _NOTHING_THERE:
            until = now + min(policy.negative_ttl, NEGATIVE_SECONDS)
            return KeptAnswer(None, result.error, until, until)
        return None

    def _remember(self, question: _Question, kept: KeptAnswer, marks: Marks) -> None:
        if question.quick is None or kept.error is not None:
            return
        left = kept.fresh_until - self._clock.now().timestamp()
        self._local.put(
            question.tenant,
            question.quick,
            _encode(kept.data),
            seconds=min(LOCAL_SECONDS, LOCAL_SHARE * question.ttl, left),
            tags=question.tags,
            marks=marks,
        )

    def _refresh(self, question: _Question) -> None:
        key = (question.tenant, question.key)
        if key in self._refreshes or len(self._refreshes) >= REFRESHES:
            return
        call = replace(question.call, timeout=question.call.operation.timeout)
        task = asyncio.create_task(self._fetch(replace(question, call=call)))
        self._refreshes[key] = task
        task.add_done_callback(lambda done: self._refreshes.pop(key, None))

    async def _kept(self, question: _Question) -> KeptAnswer | None:
        hit = await self._in_time(self._cache.get(question.tenant, question.key), None)
        return None if hit is None else KeptAnswer.from_json(hit.value)

    async def _fresh(self, question: _Question) -> KeptAnswer | None:
        kept = await self._kept(question)
        return kept if kept is not None and self._clock.now().timestamp() < kept.fresh_until else None

    async def _in_time(self, work: Coroutine[Any, Any, T], otherwise: T) -> T:
        if self._now() < self._away_until:
            work.close()
            return otherwise
        try:
            async with asyncio.timeout(CACHE_SECONDS):
                return await work
        except (StoreUnavailable, TimeoutError):
            self._away_until = self._now() + AWAY_SECONDS
            return otherwise

    def _count(self, operation: str, source: str) -> None:
        self._metrics.count("encola_service_cache_total", operation=operation, source=source)


# Made once, for json.dumps makes a new encoder whenever its options are not the default ones, and
# json.loads looks for the encoding each time.
_decode = json.JSONDecoder().decode
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def tags_of(call: ServiceCall, templates: Sequence[str]) -> list[str]:
    """Return an operation's tags with the names of the call's context; those without a name are left out."""
    names = {name: value for name, value in call.context.as_mapping().items() if name != "tenant_id"}
    tags = []
    for template in templates:
        try:
            tags.append(template.format_map(names))
        except KeyError:
            continue
    return tags


def _key(call: ServiceCall) -> str:
    return digest(
        [
            "call",
            2,
            call.service,
            call.operation.name,
            call.method,
            call.path,
            call.data,
            list(call.operation.vary),
            [getattr(call.context, name) for name in call.operation.vary],
        ]
    )


def _lasts(call: ServiceCall, data: JSON) -> bool:
    """Tell whether the answer may be kept: a job's status only once it is terminal."""
    if call.operation.name != "queue_job_status":
        return True
    return isinstance(data, dict) and data.get("status") in _TERMINAL


def _is_out_of_time(result: ServiceResult) -> bool:
    return result.error is not None and result.error.code == "deadline_exceeded"
