"""What can go wrong with an HTTP call, under the names that callers see, and what may be repeated."""

import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

import httpx

from encola.domain.json_value import JSON
from encola.domain.service import ServiceError

CIRCUIT_OPEN = "circuit_open"

_CLIENT_ERRORS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    410: "gone",
    413: "payload_too_large",
    422: "unprocessable",
}
_GATEWAY = frozenset({502, 503, 504})
_TURNED_AWAY = frozenset({429, 503})
_HASTE = frozenset({408, 425})
_NOT_IMPLEMENTED = frozenset({501, 505})
_LONGEST_MESSAGE = 500
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
# httpcore says these when the connection ended early; its other protocol errors mean nonsense.
_CUT_OFF = ("disconnected", "closed connection")


class Again(Enum):
    """Under which condition a failed attempt may be repeated."""

    NEVER = "never"
    IF_SAFE = "if safe"
    NOT_BEGUN = "not begun"  # the service turned it away, and said when to come back
    NOT_SENT = "not sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why one attempt did not succeed."""

    error: ServiceError
    again: Again = Again.NEVER


def answered(
    service: str, status: int, body: Mapping[str, JSON] | None, retry_after: float | None
) -> Failure:
    """Return what an answer beyond 2xx means; ``body`` is its JSON object, if it has one."""
    upstream = envelope_error(body)
    told = upstream.get("retryable")
    error = ServiceError(
        code=_code_of(status),
        message=_message(upstream, f"The service {service!r} answered {status}."),
        status=status,
        retryable=told if isinstance(told, bool) else _may_pass(status),
        retry_after=retry_after,
        details=_details(upstream),
    )
    if not _may_pass(status) or told is False:
        return Failure(error=error)
    turned_away = status in _TURNED_AWAY and retry_after is not None
    return Failure(error=error, again=Again.NOT_BEGUN if turned_away else Again.IF_SAFE)


def refused(service: str, status: int, body: Mapping[str, JSON]) -> Failure:
    """Return what ``success: false`` in an otherwise fine answer means."""
    upstream = envelope_error(body)
    retryable = upstream.get("retryable") is True
    error = ServiceError(
        code="upstream_error",
        message=_message(upstream, f"The service {service!r} reported a failure."),
        status=status,
        retryable=retryable,
        details=_details(upstream),
    )
    return Failure(error=error, again=Again.IF_SAFE if retryable else Again.NEVER)


def not_understood(service: str, what: str, *, code: str = "invalid_response") -> Failure:
    """Return the failure of an answer that breaks the rules; ``what`` completes the sentence."""
    return Failure(error=ServiceError(code=code, message=f"The service {service!r} {what}.", status=502))


def out_of_time(service: str, *, total: bool) -> Failure:
    """Return the failure of an attempt that was given up, or of the whole call."""
    if total:
        message = f"The service {service!r} did not answer before the deadline."
        return Failure(
            error=ServiceError(
                code="deadline_exceeded",
                message=message,
                status=504,
                retryable=True,
                retry_stopped_by="deadline",
            )
        )
    message = f"The service {service!r} did not answer in time."
    error = ServiceError(code="attempt_timeout", message=message, retryable=True)
    return Failure(error=error, again=Again.IF_SAFE)


def shut_down() -> Failure:
    """Return the failure of a call that comes when this process is leaving."""
    message = "This process is shutting down."
    return Failure(error=ServiceError(code="local_shutdown", message=message, status=503, retryable=True))


def circuit_open(service: str, wait: float) -> Failure:
    """Return the failure of a call that was not made because the service fails all the time."""
    message = f"The service {service!r} is left alone because it kept failing."
    return _local(CIRCUIT_OPEN, message, retry_after=wait)


def bulkhead_full(service: str) -> Failure:
    """Return the failure of a call that was not made because too many are under way."""
    return _local("bulkhead_full", f"Too many calls of the service {service!r} are under way.")


def broken(service: str, error: httpx.RequestError) -> Failure:
    """Return what an exception of the transport means."""
    if any(isinstance(cause, ssl.SSLError) for cause in _causes(error)):
        return _unreachable(service, "could not be reached over TLS", Again.NEVER)
    # A transport raises these only while it has no connection, so before the first byte of a request.
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return _unreachable(service, "could not be reached", Again.NOT_SENT)
    if isinstance(error, httpx.ProtocolError) and not any(said in str(error) for said in _CUT_OFF):
        return not_understood(service, "did not answer in HTTP")
    return _unreachable(service, "broke off the connection", Again.IF_SAFE)


def envelope_error(body: Mapping[str, JSON] | None) -> Mapping[str, JSON]:
    """Return the ``error`` object of an envelope; of other errors, what stands in for it."""
    inner = (body or {}).get("error")
    if isinstance(inner, dict):
        return inner
    return {"message": inner} if isinstance(inner, str) else body or {}


def _local(code: str, message: str, *, retry_after: float | None = None) -> Failure:
    error = ServiceError(code=code, message=message, status=503, retryable=True, retry_after=retry_after)
    return Failure(error=error)


def _unreachable(service: str, what: str, again: Again) -> Failure:
    error = ServiceError(
        code="upstream_unavailable",
        message=f"The service {service!r} {what}.",
        retryable=again is not Again.NEVER,
    )
    return Failure(error=error, again=again)


def _code_of(status: int) -> str:
    if status == 429:
        return "rate_limited"
    if status in _GATEWAY:
        return "upstream_unavailable"
    if status >= 500:
        return "upstream_error"
    return _CLIENT_ERRORS.get(status, "bad_request")


def _may_pass(status: int) -> bool:
    return status == 429 or status in _HASTE or (status >= 500 and status not in _NOT_IMPLEMENTED)


def _message(upstream: Mapping[str, JSON], otherwise: str) -> str:
    for name in ("message", "detail"):
        text = upstream.get(name)
        if isinstance(text, str) and text.strip():
            return text.strip()[:_LONGEST_MESSAGE]
    return otherwise


def _details(upstream: Mapping[str, JSON]) -> dict[str, JSON]:
    """Keep the service's own details and code: ours are few, its may say more."""
    given = upstream.get("details")
    details = dict(given) if isinstance(given, dict) else {}
    code = upstream.get("code")
    if isinstance(code, str) and _CODE.fullmatch(code):
        details["code"] = code
    return details


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
