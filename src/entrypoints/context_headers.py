"""The headers by which a context travels from one service to the next."""

from collections.abc import Collection, Mapping

from starlette.types import Scope

from encola.domain.context import present
from encola.domain.trace import readable_baggage

_ONCE = {
    "tenant_id": b"x-tenant-id",
    "agent_id": b"x-agent-id",
    "conversation_id": b"x-conversation-id",
    "collection_id": b"x-collection-id",
    "traceparent": b"traceparent",
}
_LISTS = {"tracestate": b"tracestate", "baggage": b"baggage"}


def first_of_each(scope: Scope) -> dict[bytes, str]:
    """Return the headers of a request; of several with one name the first."""
    return {name: value.decode("latin-1") for name, value in reversed(scope["headers"])}


def context_fields(
    scope: Scope, headers: Mapping[bytes, str], kept_baggage: Collection[str]
) -> dict[str, str | None]:
    """Return the fields of a context by name, ``None`` where the headers say nothing.

    ``headers`` are the first of each. Of baggage only the members in ``kept_baggage`` are taken. The
    request's id is not among them; see :class:`~encola.entrypoints.request_ids.RequestIds`.
    """
    fields = {field: present(headers.get(name)) for field, name in _ONCE.items()}
    fields |= {field: _whole(scope, name) if name in headers else None for field, name in _LISTS.items()}
    fields["baggage"] = readable_baggage(fields["baggage"] or "", kept_baggage)
    return fields


def _whole(scope: Scope, name: bytes) -> str:
    """Return a list that may be spread over several headers of one name."""
    return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)
