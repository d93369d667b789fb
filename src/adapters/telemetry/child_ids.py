"""Traces that are carried on, and recorded by nobody here."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from encola.application.ports import CallAttempt, CallTelemetry, CallTrace
from encola.domain.service import ServiceCall
from encola.domain.trace import SAMPLED, flags_of, spelt

RandomHex = Callable[[int], str]


class ChildIds(CallTelemetry):
    """Names every attempt as a child of its call's context, so that what services record fits together.

    ``random_hex`` gives so many random hexadecimal digits.
    """

    def __init__(self, random_hex: RandomHex) -> None:
        self._random_hex = random_hex

    def begin(self, call: ServiceCall, url: str) -> CallTrace:
        context = call.context
        if context.traceparent is None:
            # Sampled, so that whoever records at all records it.
            return _Children(self._random_hex(32), SAMPLED, None, self._random_hex)
        trace_id, flags = context.trace_id, flags_of(context.traceparent)
        return _Children(trace_id, flags, context.tracestate, self._random_hex)


class _Children(CallTrace):
    def __init__(self, trace_id: str, flags: str, state: str | None, random_hex: RandomHex) -> None:
        self._trace_id = trace_id
        self._flags = flags
        self._state = state
        self._random_hex = random_hex

    @property
    def trace_id(self) -> str:
        return self._trace_id

    def attempt(self, number: int) -> AbstractContextManager[CallAttempt]:
        headers = {"traceparent": spelt(self._trace_id, self._random_hex(16), self._flags)}
        if self._state is not None:
            headers["tracestate"] = self._state
        return nullcontext(CallAttempt(headers))
