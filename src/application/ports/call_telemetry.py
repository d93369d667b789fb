"""Making calls of services visible to those who trace them."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from encola.domain.service import ServiceCall


@dataclass(slots=True)
class CallAttempt:
    """One attempt at a call: what it sends along, and what its maker tells before it ends.

    ``headers`` are ``traceparent`` and ``tracestate``, as far as there is something to send.
    ``status`` is that of the answer, if there was one. ``error_type`` is why the attempt did not
    succeed, as a word out of few: an error's code.
    """

    headers: Mapping[str, str]
    status: int | None = None
    error_type: str | None = None


class CallTrace(Protocol):
    """The trace of one call, over all its attempts."""

    @property
    def trace_id(self) -> str:
        """Return the 32 digits that name the trace; empty where nothing is traced."""
        ...

    def attempt(self, number: int) -> AbstractContextManager[CallAttempt]:
        """Begin the ``number``-th attempt, from 1; it ends with the block.

        Each attempt is a span of its own in the call's trace. An exception that leaves the block ends
        the attempt too, and is passed on.
        """
        ...


class CallTelemetry(Protocol):
    """Gives each call a trace: that of its context, or a new one where the context has none.

    Never fails its caller for what it cannot record, and never waits. Of a URL it tells no value of
    the query; bodies and credentials it never sees.
    """

    def begin(self, call: ServiceCall, url: str) -> CallTrace:
        """Begin the trace of a call to ``url``, which is absolute and holds no userinfo."""
        ...
