"""The context and the deadline of the work that runs now, for whoever is called from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache

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
    if current is None or tenant_id not in (None, current.tenant_id):
        if tenant_id is None:
            raise InvalidContext("call_service needs a tenant: pass tenant_id, or call it from a job.")
        # Names of one tenant mean nothing, or something else, to another.
        current = None
    elif agent_id is None and conversation_id is None and collection_id is None:
        return current
    return _changed(current, tenant_id, agent_id, conversation_id, collection_id)


@lru_cache(maxsize=1024)
def _changed(
    current: ExecutionContext | None,
    tenant_id: str | None,
    agent_id: str | None,
    conversation_id: str | None,
    collection_id: str | None,
) -> ExecutionContext:
    given = {
        "tenant_id": tenant_id,
        "agent_id": agent_id,
        "conversation_id": conversation_id,
        "collection_id": collection_id,
    }
    explicit = {name: value for name, value in given.items() if value is not None}
    return ExecutionContext.from_mapping({**(current.as_mapping() if current else {}), **explicit})


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
