"""Calls to registered services that end in time, whatever the network does."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import cast

import httpx

from encola.adapters.http.addresses import ServiceAddresses
from encola.adapters.http.answers import Answer, read_answer
from encola.adapters.http.backoff import wait_before_next
from encola.adapters.http.breaker import Outcome
from encola.adapters.http.course import Course
from encola.adapters.http.failures import (
    CIRCUIT_OPEN,
    Again,
    Failure,
    broken,
    bulkhead_full,
    circuit_open,
    out_of_time,
    shut_down,
)
from encola.adapters.http.guard import ServiceGuard, is_slow, outcome_of
from encola.adapters.http.requests import prepare
from encola.application.ports import (
    CallAttempt,
    CallTelemetry,
    CircuitBoard,
    CircuitNews,
    Metrics,
    ServiceCaller,
)
from encola.domain.service import ServiceCall, ServiceResult

DRAIN_SECONDS = 5.0

_log = logging.getLogger(__name__)


class HttpServiceCaller(ServiceCaller):
    """Calls services with one deadline over all attempts, and repeats what is safe to repeat.

    ``chance`` is uniform in [0, 1) and spreads the attempts; ``new_key`` names a call whose operation
    needs an idempotency key and got none.

    :param transport: becomes the caller's, which closes it
    :raises InvalidSettings: a service has an unusable name or base URL
    """

    def __init__(
        self,
        services: Mapping[str, str],
        transport: httpx.AsyncBaseTransport,
        *,
        chance: Callable[[], float],
        metrics: Metrics,
        board: CircuitBoard,
        telemetry: CallTelemetry,
        new_key: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._addresses = ServiceAddresses(services)
        self._transport = transport
        self._chance = chance
        self._metrics = metrics
        self._telemetry = telemetry
        self._new_key = new_key
        self._guards = {
            name: ServiceGuard.of(name, now=time.monotonic, chance=chance, board=board, metrics=metrics)
            for name in services
        }
        board.listen(self._hear)
        self._is_closed = False

    def _hear(self, news: CircuitNews) -> None:
        guard = self._guards.get(news.service)
        if guard is not None:
            guard.breaker.hear(news)

    def resolve(self, url: str) -> tuple[str, str]:
        return self._addresses.resolve(url)

    async def call(self, call: ServiceCall) -> ServiceResult:
        url = self._addresses.url(call.service, call.path)
        now = asyncio.get_running_loop().time
        request = prepare(call, url, self._new_key)
        course = Course(call, request, self._telemetry.begin(call, request.url), now, started=now())
        result = course.result(await self._run(course))
        self._observe(course, result)
        return result

    async def close(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Refuse what comes from now on, let attempts under way end for a while, and disconnect."""
        self._is_closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(drain_seconds):
                for guard in self._guards.values():
                    await guard.bulkhead.emptied()
        await self._transport.aclose()

    async def _run(self, course: Course) -> Answer:
        budget = self._guards[course.call.service].budget
        last: Failure | None = None
        while True:
            answer = await self._guarded(course)
            failure = answer.failure
            if failure is None:
                budget.succeeded()
                return answer
            if failure.error.code == CIRCUIT_OPEN and last is not None:
                return _stopped(last, "circuit")
            if failure.again is Again.NEVER:
                return answer
            wait = wait_before_next(course.attempts, failure.error, self._chance())
            reason = course.stopped_by(failure, wait, budget)
            if reason is not None:
                self._metrics.count(
                    "encola_service_call_retries_withheld_total", service=course.call.service, reason=reason
                )
                return _stopped(failure, reason)
            last = failure
            self._count_retry(course, failure)
            await asyncio.sleep(wait)

    async def _guarded(self, course: Course) -> Answer:
        """Make an attempt if the service may be called now; each holds its place only while it lasts."""
        tenant = course.call.context.tenant_id
        guard = self._guards[course.call.service]
        if self._is_closed:
            return Answer(failure=shut_down())
        if not guard.bulkhead.take(tenant):
            refusal = await self._queue(course, guard)
            if refusal is not None:
                return Answer(failure=refusal)
        try:
            return await self._judged(course, guard)
        finally:
            guard.bulkhead.leave(tenant)

    async def _queue(self, course: Course, guard: ServiceGuard) -> Failure | None:
        """Wait for a place, and return why there is none."""
        service = course.call.service
        if guard.breaker.wait:
            return circuit_open(service, guard.breaker.wait)
        try:
            async with asyncio.timeout_at(course.attempt_end(course.now())):
                if await guard.bulkhead.wait(course.call.context.tenant_id):
                    return None
        except TimeoutError:
            pass
        return bulkhead_full(service)

    async def _judged(self, course: Course, guard: ServiceGuard) -> Answer:
        """Make an attempt, and tell the breaker of it; a caller that is cancelled says nothing."""
        call, breaker = course.call, guard.breaker
        permit = breaker.admit() or await breaker.admit_probe()
        if permit is None:
            return Answer(failure=circuit_open(call.service, breaker.wait))
        outcome, slow = Outcome.NEUTRAL, False
        course.attempts += 1
        began = course.now()
        try:
            answer = await self._attempt(course, began)
            seconds = course.now() - began
            outcome, slow = outcome_of(call, answer.failure, seconds), is_slow(call, seconds)
            return answer
        finally:
            breaker.record(permit, outcome, slow=slow)

    async def _attempt(self, course: Course, began: float) -> Answer:
        service, end = course.call.service, course.attempt_end(began)
        limit = asyncio.timeout_at(end)
        with course.trace.attempt(course.attempts) as span:
            try:
                async with limit:
                    answer = await self._exchange(course, course.end - began, span)
            except httpx.RequestError as error:
                answer = Answer(failure=broken(service, error))
            except TimeoutError:
                if not limit.expired():
                    raise
                answer = Answer(failure=out_of_time(service, total=end >= course.end))
            if answer.failure is not None:
                span.error_type = answer.failure.error.code
            return answer

    async def _exchange(self, course: Course, seconds_left: float, span: CallAttempt) -> Answer:
        request = course.request.of_attempt(course.attempts, seconds_left, span.headers)
        response = await self._transport.handle_async_request(request)
        span.status = response.status_code
        try:
            return await read_answer(response, course.call.service, course.pass_output)
        finally:
            # Not the response's own method, which keeps a book that nobody reads here.
            await cast("httpx.AsyncByteStream", response.stream).aclose()

    def _count_retry(self, course: Course, failure: Failure) -> None:
        call = course.call
        self._metrics.count(
            "encola_service_call_retries_total",
            service=call.service,
            operation=call.operation.name,
            reason=failure.error.code,
        )

    def _observe(self, course: Course, result: ServiceResult) -> None:
        labels = {"service": result.meta.service, "operation": result.meta.operation}
        outcome = result.error.code if result.error else "ok"
        self._metrics.count("encola_service_calls_total", outcome=outcome, **labels)
        self._metrics.observe("encola_service_call_seconds", course.now() - course.started, **labels)
        if result.error:
            _log.warning(
                "call of %s (%s) failed: %s after %d attempts",
                result.meta.service,
                result.meta.operation,
                outcome,
                result.meta.attempts,
            )


def _stopped(failure: Failure, reason: str) -> Answer:
    return Answer(failure=replace(failure, error=replace(failure.error, retry_stopped_by=reason)))
