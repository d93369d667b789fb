"""An answer of a service in the form in which it is kept for all processes."""

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, cast

from encola.domain.context import ExecutionContext
from encola.domain.json_value import JSON
from encola.domain.service import CallMeta, ServiceCall, ServiceError, ServiceResult


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a service answered: data, or that there is nothing. Instants are POSIX seconds."""

    data: JSON
    error: ServiceError | None
    fresh_until: float
    usable_until: float

    def as_json(self) -> JSON:
        """Return it as JSON; the service's own details of an error are left out."""
        error = None if self.error is None else cast("JSON", {**asdict(self.error), "details": {}})
        return {"data": self.data, "error": error, "fresh": self.fresh_until, "usable": self.usable_until}

    @classmethod
    def from_json(cls, value: JSON) -> "KeptAnswer | None":
        """Return what was kept, or ``None`` when another version wrote it in its own way."""
        fields = cast("Any", value)
        try:
            error = None if fields["error"] is None else ServiceError(**fields["error"])
            return cls(fields["data"], error, float(fields["fresh"]), float(fields["usable"]))
        except (TypeError, KeyError, ValueError):
            return None

    def result(self, call: ServiceCall, source: str) -> ServiceResult:
        """Return it as the result of a call."""
        return kept_result(call.context, call.service, call.operation.name, self.data, source, self.error)


def kept_result(
    context: ExecutionContext,
    service: str,
    operation: str,
    data: JSON,
    source: str,
    error: ServiceError | None = None,
) -> ServiceResult:
    """Return the result of a call for which nobody was asked."""
    meta = _meta(service, operation, source, context.request_id or "", context.trace_id)
    return ServiceResult(success=error is None, data=data, error=error, meta=meta)


@lru_cache(maxsize=1024)
def _meta(service: str, operation: str, source: str, request_id: str, trace_id: str) -> CallMeta:
    return CallMeta(
        service=service,
        operation=operation,
        attempts=0,
        elapsed_ms=0,
        source=source,
        request_id=request_id,
        trace_id=trace_id,
    )


def out_of_time(call: ServiceCall) -> ServiceResult:
    """Return the result of a call for which no time is left."""
    error = ServiceError(
        code="deadline_exceeded",
        message=f"{call.service}: no time is left for this call",
        status=504,
        retry_stopped_by="deadline",
    )
    return kept_result(call.context, call.service, call.operation.name, None, "local", error)
