"""Traces that are carried on, and recorded by nobody here."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from encola.application.ports import CallAttempt, CallTelemetry, CallTrace
from encola.domain.service import ServiceCall
from encola.domain.trace import child_of, new_traceparent, trace_id_of

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
            return _Children(new_traceparent(self._random_hex), None, self._random_hex)
        return _Children(context.traceparent, context.tracestate, self._random_hex)


@dataclass(slots=True)
class _Children(CallTrace):
    parent: str
    state: str | None
    random_hex: RandomHex

    @property
    def trace_id(self) -> str:
        return trace_id_of(self.parent)

    def attempt(self, number: int) -> AbstractContextManager[CallAttempt]:
        headers = {"traceparent": child_of(self.parent, self.random_hex(16))}
        if self.state is not None:
            headers["tracestate"] = self.state
        return nullcontext(CallAttempt(headers))
