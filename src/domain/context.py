"""Who a piece of work belongs to, and the grammar of its names."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import NewType

from encola.domain.errors import InvalidContext, JobNotFound
from encola.domain.trace import readable_baggage, readable_traceparent, readable_tracestate, trace_id_of

TenantId = NewType("TenantId", str)
JobId = NewType("JobId", str)

DEFAULT_TENANT = TenantId("default")

_TENANT = re.compile(r"[A-Za-z0-9._@-]{1,64}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9._:@-]{1,128}", re.ASCII)
_JOB_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_ABSENT = frozenset({"", "null", "undefined"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionContext:
    """Carried from the request through the queue and the worker into every ``call_service``.

    The first four say whose work it is, and are refused when they break the grammar. The others only
    help to find it again: ``request_id`` names the request that began it; ``traceparent``,
    ``tracestate`` and ``baggage`` are the W3C headers. Of these, what cannot be read is dropped.
    """

    tenant_id: TenantId
    agent_id: str | None = None
    conversation_id: str | None = None
    collection_id: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    baggage: str | None = None
    request_id: str | None = None

    def __post_init__(self) -> None:
        parse_tenant(self.tenant_id)
        for name in ("agent_id", "conversation_id", "collection_id"):
            value = getattr(self, name)
            if value is not None and not _NAME.fullmatch(value):
                raise InvalidContext(f"{name} must be 1 to 128 of A-Z a-z 0-9 . _ : @ -")
        self._drop_unreadable()

    @property
    def trace_id(self) -> str:
        """Return what names the trace; empty without one."""
        return "" if self.traceparent is None else trace_id_of(self.traceparent)

    def as_mapping(self) -> dict[str, str]:
        """Return the fields that are set."""
        pairs = ((name, getattr(self, name)) for name in _FIELDS)
        return {name: value for name, value in pairs if value is not None}

    @classmethod
    def from_mapping(cls, values: Mapping[str, str | None]) -> "ExecutionContext":
        """Build from the fields by name; unknown names are ignored.

        :raises InvalidContext: a value is outside the grammar, or the tenant is missing
        """
        known = {name: values.get(name) for name in _FIELDS}
        return cls(**{**known, "tenant_id": parse_tenant(known["tenant_id"] or "")})  # type: ignore[arg-type]

    def _drop_unreadable(self) -> None:
        for name, readable in _READABLE.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, readable(value))
        if self.traceparent is None and self.tracestate is not None:
            object.__setattr__(self, "tracestate", None)


def readable_request_id(text: str) -> str | None:
    """Return a request's id, or ``None`` when it is outside the grammar of names."""
    return text if _NAME.fullmatch(text) else None


_FIELDS = tuple(field.name for field in fields(ExecutionContext))
_READABLE: dict[str, Callable[[str], str | None]] = {
    "traceparent": readable_traceparent,
    "tracestate": readable_tracestate,
    "baggage": readable_baggage,
    "request_id": readable_request_id,
}


def parse_tenant(text: str) -> TenantId:
    """Return ``text`` as a tenant id.

    :raises InvalidContext: it is outside the grammar
    """
    if not _TENANT.fullmatch(text):
        raise InvalidContext("tenant_id must be 1 to 64 of A-Z a-z 0-9 . _ @ -")
    return TenantId(text)


def is_job_id(text: str) -> bool:
    """Tell whether ``text`` is spelt as our job ids are (a UUID in lower case)."""
    return _JOB_ID.fullmatch(text) is not None


def parse_job_id(text: str) -> JobId:
    """Return ``text`` as a job id.

    :raises JobNotFound: no job of ours can have it
    """
    if not is_job_id(text):
        raise JobNotFound(text)
    return JobId(text)


def present(value: str | None) -> str | None:
    """Return ``None`` for what browsers send when they have nothing: ``""``, ``null``, ``undefined``."""
    return None if value is None or value.strip() in _ABSENT else value.strip()
