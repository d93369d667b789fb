"""The context and the deadline of the work that runs now, for whoever is called from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

from encola.domain.context import ExecutionContext

_context: ContextVar[ExecutionContext | None] = ContextVar("encola_context", default=None)
_deadline: ContextVar[datetime | None] = ContextVar("encola_deadline", default=None)


def current_context() -> ExecutionContext | None:
    """Return the context of the running request or job."""
    return _context.get()


def current_deadline() -> datetime | None:
    """Return when the running request or job must have ended."""
    return _deadline.get()


@contextmanager
def running_in(context: ExecutionContext, deadline: datetime | None = None) -> Iterator[None]:
    """Make ``context`` and ``deadline`` current; afterwards the outer ones are again, not ``None``."""
    context_token = _context.set(context)
    deadline_token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(deadline_token)
        _context.reset(context_token)
