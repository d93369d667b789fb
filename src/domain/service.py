"""One HTTP call between services, and what comes of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field

from encola.domain.context import ExecutionContext
from encola.domain.json_value import JSON
from encola.domain.policy import OperationPolicy

OutputListener = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCall:
    """What is asked of a registered service.

    ``timeout`` is the total in seconds over all attempts. ``on_output`` receives the text of
    ``{"output": …}`` lines when the service answers with ``application/x-ndjson``; its last line is
    then the answer. ``cache_tags`` are tags of a cached answer beside those of the operation.
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
    cache_tags: tuple[str, ...] = ()
    on_output: OutputListener | None = None


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
    """How the call went. ``source`` is ``upstream``, ``cache``, ``local``, or ``coalesced``
    when another caller asked the same just then. ``request_id`` names the request that the work
    began with, ``trace_id`` the W3C trace; each is empty when there is none."""

    service: str
    operation: str
    attempts: int
    elapsed_ms: int
    source: str = "upstream"
    request_id: str = ""
    trace_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServiceResult(Mapping[str, object]):
    """The envelope every call returns; failures are values, not exceptions.

    It reads as attributes, and as the seed's mapping ``{success, data, error, meta}``.
    """

    success: bool
    data: JSON
    error: ServiceError | None
    meta: CallMeta

    def __getitem__(self, key: str) -> object:
        if key not in _ENVELOPE:
            raise KeyError(key)
        value = getattr(self, key)
        return asdict(value) if isinstance(value, ServiceError | CallMeta) else value

    def __iter__(self) -> Iterator[str]:
        return iter(_ENVELOPE)

    def __len__(self) -> int:
        return len(_ENVELOPE)


_ENVELOPE = ("success", "data", "error", "meta")
