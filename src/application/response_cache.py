"""Answers of services that are kept, in this process and for all of them."""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from random import random
from typing import Any, Final, TypeVar

from encola.application.kept_answer import KeptAnswer, kept_result, out_of_time
from encola.application.local_cache import LocalCache, quick_key
from encola.application.ports import Cache, Clock, Marks, Metrics
from encola.application.single_flight import SingleFlight
from encola.domain.context import ExecutionContext, TenantId
from encola.domain.errors import StoreUnavailable
from encola.domain.fingerprint import canonical_json, digest
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
PATIENT_SHARE: Final = 0.5
TAGS_OWED: Final = 10_000

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

    @property
    def flight(self) -> Hashable:
        """Return what those share who may ask together: none after an invalidation with one before."""
        return self.tenant, self.key, self.marks


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
        self._owed: dict[tuple[TenantId, str], object] = {}

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

        Other processes may give them for five seconds more, from what they remember themselves, and
        for longer when the cache is away: this process forgets there before it looks there again.
        """
        self._local.forget(tenant, tags)
        self._owe(tenant, tags)
        await self._settle()
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
                result, is_shared = await self._flights(question.flight, lambda: self._find(question))
                # Who asked had less time than this caller has. Of those who go on, one asks for all.
                while is_shared and _is_out_of_time(result):
                    rest = replace(question, call=replace(call, timeout=end - loop.time()))
                    result, is_shared = await self._flights(question.flight, partial(self._find, rest))
        except TimeoutError:
            return out_of_time(call)
        if not is_shared:
            return result
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
        if _has_failed(result) and now < kept.fresh_until + question.call.operation.sie:
            return kept.result(question.call, "stale")
        return result

    async def _fetch(self, question: _Question) -> ServiceResult:
        """Ask, unless another process does; then wait for what that is answered."""
        tenant, key, pause = question.tenant, question.key, FIRST_PAUSE
        ttl = timedelta(seconds=min(LEASE_SECONDS, question.call.timeout))
        loop = asyncio.get_running_loop()
        began, end = loop.time(), loop.time() + question.call.timeout
        while not await self._in_time(self._cache.lease(tenant, key, ttl=ttl), True):
            # Whoever has the lease may have died with it; the rest of the time is for asking.
            if loop.time() - began > PATIENT_SHARE * question.call.timeout:
                return await self._ask_and_keep(_within(question, end - loop.time()))
            await asyncio.sleep(pause * self._chance())
            pause = min(LONGEST_PAUSE, 2 * pause)
            found = await self._fresh(question)
            if found is not None:
                return found.result(question.call, "coalesced")
        try:
            # Who asked before may have ended since this caller looked into the cache.
            found = await self._fresh(question)
            if found is not None:
                return found.result(question.call, "l2")
            return await self._ask_and_keep(_within(question, end - loop.time()))
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
                with suppress(ValueError):  # json.loads reads 1e999, which JSON cannot hold
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
        key = question.flight
        if key in self._refreshes or len(self._refreshes) >= REFRESHES:
            return
        call = replace(question.call, timeout=question.call.operation.timeout)
        task = asyncio.create_task(self._fetch(replace(question, call=call)))
        self._refreshes[key] = task
        task.add_done_callback(lambda done: self._refreshes.pop(key, None))

    async def _kept(self, question: _Question) -> KeptAnswer | None:
        if self._owed:
            await self._settle()
        if self._owed.keys() & {(question.tenant, tag) for tag in question.tags}:
            return None
        hit = await self._in_time(self._cache.get(question.tenant, question.key), None)
        return None if hit is None else KeptAnswer.from_json(hit.value)

    def _owe(self, tenant: TenantId, tags: Sequence[str]) -> None:
        for tag in tags:
            self._owed[tenant, tag] = object()
        while len(self._owed) > TAGS_OWED:
            del self._owed[next(iter(self._owed))]

    async def _settle(self) -> None:
        """Forget in the cache what is still to be forgotten there, if it can be reached."""
        owed = dict(self._owed)
        for tenant in {tenant for tenant, _ in owed}:
            debts = {tag: debt for (owner, tag), debt in owed.items() if owner == tenant}
            if not await self._in_time(self._forgotten(tenant, tuple(debts)), False):
                return
            for tag, debt in debts.items():
                # It may have been forgotten again since this was sent, and is then owed again.
                if self._owed.get((tenant, tag)) is debt:
                    del self._owed[tenant, tag]

    async def _forgotten(self, tenant: TenantId, tags: Sequence[str]) -> bool:
        await self._cache.forget(tenant, *tags)
        return True

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
            3,
            call.context.tenant_id,
            call.service,
            call.operation.name,
            call.method,
            call.path,
            # As a text, for the depth that data may have is its own.
            canonical_json(call.data).decode(),
            list(call.operation.vary),
            [getattr(call.context, name) for name in call.operation.vary],
        ]
    )


def _lasts(call: ServiceCall, data: JSON) -> bool:
    """Tell whether the answer may be kept: a job's status only once it is terminal."""
    if call.operation.name != "queue_job_status":
        return True
    return isinstance(data, dict) and data.get("status") in _TERMINAL


def _within(question: _Question, seconds: float) -> _Question:
    return replace(question, call=replace(question.call, timeout=max(MOMENT, seconds)))


def _has_failed(result: ServiceResult) -> bool:
    """Tell whether the service could not answer, rather than answered with a refusal."""
    error = result.error
    if error is None or error.code not in _NOT_THE_CALLERS_FAULT:
        return False
    return error.status is None or error.status >= 500


def _is_out_of_time(result: ServiceResult) -> bool:
    return result.error is not None and result.error.code == "deadline_exceeded"
