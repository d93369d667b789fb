"""The context and the deadline of the work that runs now, for whoever is called from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

from encola.domain.context import ExecutionContext
from encola.domain.errors import InvalidContext

_context: ContextVar[ExecutionContext | None] = ContextVar("encola_context", default=None)
_deadline: ContextVar[datetime | None] = ContextVar("encola_deadline", default=None)


def current_context() -> ExecutionContext | None:
    """Return the context of the running request or job."""
    return _context.get()


def current_deadline() -> datetime | None:
    """Return when the running request or job must have ended."""
    return _deadline.get()


def context_for(
    tenant_id: str | None = None,
    *,
    agent_id: str | None = None,
    conversation_id: str | None = None,
    collection_id: str | None = None,
) -> ExecutionContext:
    """Return the context of a call: that of the running work, but for what is given.

    :raises InvalidContext: there is no tenant, or an identifier is outside the grammar
    """
    current = current_context()
    given = {"agent_id": agent_id, "conversation_id": conversation_id, "collection_id": collection_id}
    explicit = {name: value for name, value in given.items() if value is not None}
    if current is not None and tenant_id in (None, current.tenant_id):
        return ExecutionContext.from_mapping({**current.as_mapping(), **explicit})
    if tenant_id is None:
        raise InvalidContext("call_service needs a tenant: pass tenant_id, or call it from a job.")
    # Names of one tenant mean nothing, or something else, to another.
    return ExecutionContext.from_mapping({"tenant_id": tenant_id, **explicit})


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
