"""One HTTP call between services, and what comes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from encola.domain.context import ExecutionContext
from encola.domain.json_value import JSON
from encola.domain.policy import OperationPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCall:
    """What is asked of a registered service.

    ``timeout`` is the total in seconds over all attempts. ``on_output`` receives the text of
    ``{"output": …}`` lines when the service answers with ``application/x-ndjson``; its last line is
    then the answer.
    """

    service: str
    path: str
    operation: OperationPolicy
    context: ExecutionContext
    method: str = "POST"
    data: JSON = None
    timeout: float = 30.0
    attempts: int = 1
    idempotency_key: str | None = None
    on_output: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceError:
    """Why a call did not succeed. ``retryable`` says whether asking again later may help."""

    code: str
    message: str
    status: int | None = None
    retryable: bool = False
    retry_after: float | None = None
    retry_stopped_by: str | None = None
    details: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMeta:
    """How the call went. ``source`` is ``upstream``, ``cache`` or ``local``."""

    service: str
    operation: str
    attempts: int
    elapsed_ms: int
    source: str = "upstream"
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceResult:
    """The envelope every call returns; failures are values, not exceptions."""

    success: bool
    data: JSON
    error: ServiceError | None
    meta: CallMeta

    def as_dict(self) -> dict[str, object]:
        """Return the seed's envelope: ``{success, data, error, meta}``, as plain dicts."""
        error = self.error
        return {
            "success": self.success,
            "data": self.data,
            "error": None
            if error is None
            else {
                "code": error.code,
                "message": error.message,
                "status": error.status,
                "retryable": error.retryable,
                "retry_after": error.retry_after,
                "retry_stopped_by": error.retry_stopped_by,
                "details": dict(error.details),
            },
            "meta": {
                "service": self.meta.service,
                "operation": self.meta.operation,
                "attempts": self.meta.attempts,
                "elapsed_ms": self.meta.elapsed_ms,
                "source": self.meta.source,
                "request_id": self.meta.request_id,
            },
        }
