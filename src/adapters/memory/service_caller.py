"""Services that answer from a script."""

import asyncio
import inspect
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from encola.application.ports import ServiceCaller
from encola.domain.errors import UnknownService
from encola.domain.json_value import JSON
from encola.domain.service import CallMeta, ServiceCall, ServiceError, ServiceResult

Answer: TypeAlias = "ServiceResult | JSON | Callable[[ServiceCall], Any]"

CALLS_KEPT = 1000


class ScriptedServiceCaller(ServiceCaller):
    """Answers from ``answers`` by service and path, and keeps the latest 1,000 ``calls``.

    An answer is a result, the data of a successful one, or a function of the call (``async`` too)
    that returns either. A function that raises ``OSError`` plays a broken network. ``bases`` are the
    base URLs of services, for those who call by URL.
    """

    def __init__(
        self, answers: Mapping[tuple[str, str], Answer], bases: Mapping[str, str] | None = None
    ) -> None:
        self.calls: deque[ServiceCall] = deque(maxlen=CALLS_KEPT)
        self._answers = answers
        self._bases = bases or {}
        self._is_closed = False

    async def call(self, call: ServiceCall) -> ServiceResult:
        if call.service not in self._services:
            raise self._unknown()
        if self._is_closed:
            return _failure(call, "local_shutdown", "This process is shutting down.", 503)
        self.calls.append(call)
        try:
            async with asyncio.timeout(call.timeout):
                answer = await self._answer(call)
        except TimeoutError:
            answer = _failure(call, "deadline_exceeded", f"{call.service}: no answer in time", 504)
        except OSError as error:
            answer = _failure(call, "upstream_unavailable", f"{call.service}: {type(error).__name__}", 503)
        return answer if isinstance(answer, ServiceResult) else _success(call, answer)

    async def close(self) -> None:
        self._is_closed = True

    def resolve(self, url: str) -> tuple[str, str]:
        for service, base in self._bases.items():
            rest = url.removeprefix(base.rstrip("/"))
            if rest != url and rest[:1] in ("", "/"):
                return service, rest or "/"
        service, _, path = url.partition("/")
        if service not in self._services:
            raise self._unknown()
        return service, f"/{path}"

    @property
    def _services(self) -> set[str]:
        return {service for service, _ in self._answers} | set(self._bases)

    def _unknown(self) -> UnknownService:
        known = ", ".join(sorted(self._services)) or "none"
        return UnknownService(f"There is no such service; registered are: {known}.")

    async def _answer(self, call: ServiceCall) -> Any:
        if (call.service, call.path) not in self._answers:
            return _failure(call, "not_found", f"{call.service} has no {call.path}", 404)
        answer = self._answers[call.service, call.path]
        if not callable(answer):
            return answer
        value = answer(call)
        return await value if inspect.isawaitable(value) else value


def _success(call: ServiceCall, data: JSON) -> ServiceResult:
    return ServiceResult(success=True, data=data, error=None, meta=_meta(call))


def _failure(call: ServiceCall, code: str, message: str, status: int) -> ServiceResult:
    error = ServiceError(code=code, message=message, status=status, retryable=status >= 500)
    return ServiceResult(success=False, data=None, error=error, meta=_meta(call))


def _meta(call: ServiceCall) -> CallMeta:
    return CallMeta(
        service=call.service,
        operation=call.operation.name,
        attempts=1,
        elapsed_ms=0,
        request_id=call.context.request_id or "",
        trace_id=call.context.trace_id,
    )
