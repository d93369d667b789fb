"""Calls to registered services that end in time, whatever the network does."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from uuid import uuid4

import httpx

from encola.adapters.http.addresses import ServiceAddresses
from encola.adapters.http.answers import Answer, read_answer
from encola.adapters.http.backoff import wait_before_next
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
from encola.adapters.http.guard import ServiceGuard, judged
from encola.adapters.http.requests import PreparedRequest, prepare
from encola.application.ports import Metrics, ServiceCaller
from encola.domain.service import CallMeta, ServiceCall, ServiceResult

CONNECT_TIMEOUT = 1.0
# Below the five seconds after which uvicorn closes an idle connection: a request that is written
# just then is lost, and may not be repeated.
_KEEP_ALIVE = 3.0

_log = logging.getLogger(__name__)


def build_client() -> httpx.AsyncClient:
    """Return a client that takes nothing from the environment, follows nothing and remembers nothing.

    The number of connections is not bounded here: httpx 0.28 loses places in a bounded pool when
    callers are cancelled while they wait for one (encode/httpx#3215).
    """
    return httpx.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        limits=httpx.Limits(
            max_connections=None, max_keepalive_connections=100, keepalive_expiry=_KEEP_ALIVE
        ),
        # One client serves every tenant, so a cookie would carry one's session to another.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


@dataclass(slots=True)
class _Course:
    """How one call goes."""

    call: ServiceCall
    request: PreparedRequest
    started: float
    attempts: int = 0
    has_passed_output: bool = False

    @property
    def end(self) -> float:
        return self.started + self.call.timeout

    def attempt_end(self, now: float) -> float:
        """Return when the present attempt must end; the last one has all the time that is left."""
        if self.attempts >= self.call.attempts:
            return self.end
        policy = self.call.operation
        return min(self.end, now + self.call.timeout * policy.attempt_timeout / policy.timeout)

    def pass_output(self, text: str) -> None:
        self.has_passed_output = True
        if self.call.on_output is not None:
            self.call.on_output(text)

    def stopped_by(self, failure: Failure, resume_at: float) -> str | None:
        """Return why a failure that could be repeated is not, or ``None``."""
        if self.has_passed_output or not self.request.may_repeat(failure.again):
            return "not_idempotent"
        if self.attempts >= self.call.attempts:
            return "attempts"
        return "deadline" if resume_at >= self.end else None


class HttpxServiceCaller(ServiceCaller):
    """Calls services with one deadline over all attempts, and repeats what is safe to repeat.

    ``client`` stays the caller's to close. ``chance`` is uniform in [0, 1) and spreads the attempts;
    ``new_key`` names a call whose operation needs an idempotency key and got none.

    :raises InvalidSettings: a service has an unusable name or base URL
    """

    def __init__(
        self,
        services: Mapping[str, str],
        client: httpx.AsyncClient,
        *,
        chance: Callable[[], float],
        metrics: Metrics,
        new_key: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        self._addresses = ServiceAddresses(services)
        self._client = client
        self._chance = chance
        self._metrics = metrics
        self._new_key = new_key
        self._guards = {name: ServiceGuard.of(name, time.monotonic, chance) for name in services}

    def resolve(self, url: str) -> tuple[str, str]:
        return self._addresses.resolve(url)

    async def call(self, call: ServiceCall) -> ServiceResult:
        url = self._addresses.url(call.service, call.path)
        course = _Course(call, prepare(call, url, self._new_key), started=_now())
        answer = await self._run(course)
        result = _result(course, answer)
        self._observe(course, result)
        return result

    async def _run(self, course: _Course) -> Answer:
        budget = self._guards[course.call.service].budget
        last: Failure | None = None
        while True:
            answer = await self._guarded(course)
            failure = answer.failure
            if failure is None:
                budget.succeeded()
                return answer
            if failure.error.code == CIRCUIT_OPEN and last is not None:
                return Answer(failure=_stopped(last, "circuit"))
            if failure.again is Again.NEVER:
                return answer
            last = failure
            wait = wait_before_next(course.attempts, failure.error, self._chance())
            reason = course.stopped_by(failure, _now() + wait)
            if reason is None and not budget.take():
                reason = "budget"
            if reason is not None:
                return Answer(failure=_stopped(failure, reason))
            self._count_retry(course, failure)
            await asyncio.sleep(wait)

    async def _guarded(self, course: _Course) -> Answer:
        """Make an attempt if the service may be called now; each holds its place only while it lasts."""
        call = course.call
        guard = self._guards[call.service]
        if self._client.is_closed:
            return Answer(failure=shut_down())
        with (
            judged(guard.breaker, call) as judgement,
            guard.bulkhead.place(call.context.tenant_id) as has_place,
        ):
            if judgement is None:
                return Answer(failure=circuit_open(call.service, guard.breaker.wait))
            if not has_place:
                return Answer(failure=bulkhead_full(call.service))
            course.attempts += 1
            began = _now()
            answer = await self._attempt(course)
            judgement.reached(answer.failure, _now() - began)
            return answer

    async def _attempt(self, course: _Course) -> Answer:
        service, now = course.call.service, _now()
        end = course.attempt_end(now)
        limit = asyncio.timeout_at(end)
        try:
            async with limit:
                return await self._exchange(course, course.end - now)
        except httpx.HTTPError as error:
            return Answer(failure=broken(service, error))
        except TimeoutError:
            if not limit.expired():
                raise
            return Answer(failure=out_of_time(service, total=end >= course.end))

    async def _exchange(self, course: _Course, seconds_left: float) -> Answer:
        request = course.request
        async with self._client.stream(
            request.method,
            request.url,
            content=request.content,
            headers=request.headers_of(course.attempts, seconds_left),
            # The time of everything after connecting is bounded as a whole, from outside.
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT),
        ) as response:
            return await read_answer(response, course.call.service, course.pass_output)

    def _count_retry(self, course: _Course, failure: Failure) -> None:
        call = course.call
        self._metrics.count(
            "service_call_retries",
            service=call.service,
            operation=call.operation.name,
            reason=failure.error.code,
        )

    def _observe(self, course: _Course, result: ServiceResult) -> None:
        labels = {"service": result.meta.service, "operation": result.meta.operation}
        outcome = result.error.code if result.error else "ok"
        self._metrics.count("encola_service_calls_total", outcome=outcome, **labels)
        self._metrics.observe("encola_service_call_seconds", _now() - course.started, **labels)
        if result.error:
            _log.warning(
                "call of %s (%s) failed: %s after %d attempts",
                result.meta.service,
                result.meta.operation,
                outcome,
                result.meta.attempts,
            )


def _stopped(failure: Failure, reason: str) -> Failure:
    return replace(failure, error=replace(failure.error, retry_stopped_by=reason))


def _result(course: _Course, answer: Answer) -> ServiceResult:
    return ServiceResult(
        success=answer.failure is None,
        data=answer.data,
        error=answer.failure.error if answer.failure else None,
        meta=CallMeta(
            service=course.call.service,
            operation=course.call.operation.name,
            attempts=course.attempts,
            elapsed_ms=round((_now() - course.started) * 1000),
            source="upstream" if course.attempts else "local",
        ),
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
