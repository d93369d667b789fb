"""What is sent: the same for every attempt of a call but for its number and its time."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from encola.adapters.http.answers import NDJSON
from encola.adapters.http.failures import Again
from encola.adapters.http.messages import OutgoingRequest, host_of
from encola.domain.context import ExecutionContext
from encola.domain.errors import InvalidInput, NotJson, TooLarge
from encola.domain.json_value import JSON
from encola.domain.policy import Repeat
from encola.domain.service import ServiceCall

MAX_REQUEST_BYTES: Final = 5 * 2**20

_BODILESS = frozenset({"GET", "HEAD"})
_METHODS = _BODILESS | {"POST", "PUT", "PATCH", "DELETE"}
_KEY = re.compile(r"[!-~]{1,255}", re.ASCII)
# Made once, for json.dumps makes a new encoder whenever its options are not the default ones.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@dataclass(slots=True)
class PreparedRequest:
    """A request that can be sent again."""

    method: str
    url: str
    headers: dict[str, str]
    content: bytes
    repeatable: bool

    def may_repeat(self, again: Again) -> bool:
        """Tell whether a failure allows this request a further attempt."""
        if again is Again.IF_SAFE:
            return self.repeatable
        return again is not Again.NEVER

    def of_attempt(self, attempt: int, seconds_left: float, trace: Mapping[str, str]) -> OutgoingRequest:
        """Return the request of one attempt, which tells how long we shall wait, and its place in a trace."""
        milliseconds = max(int(seconds_left * 1000), 1)
        numbered = {"X-Attempt": str(attempt), "X-Request-Timeout-Ms": str(milliseconds)}
        fields = {**self.headers, **numbered, **trace}
        return OutgoingRequest(self.method, self.url, fields, self.content)


def prepare(call: ServiceCall, url: str, new_key: Callable[[], str]) -> PreparedRequest:
    """Return the request of a call; the data of a GET is its query.

    :raises NotJson: the data is not JSON
    :raises InvalidInput: the method or the idempotency key cannot be sent
    :raises TooLarge: the data has more than 5 MiB
    """
    method = call.method.upper()
    if method not in _METHODS:
        raise InvalidInput(f"There is no method {method!r} here.")
    in_query = method in _BODILESS or call.data is None
    key = _key_of(call, new_key)
    content = b"" if in_query else _encoded(call.data)
    if len(content) > MAX_REQUEST_BYTES:
        raise TooLarge(f"What is sent to a service may have {MAX_REQUEST_BYTES // 2**20} MiB at most.")
    target = _with_query(url, call.data) if in_query and call.data else url
    return PreparedRequest(
        method=method,
        url=target,
        headers=_headers(call, method, target, key, content, has_body=not in_query),
        content=content,
        repeatable=call.operation.repeat in (Repeat.SAFE, Repeat.NATURAL) or key is not None,
    )


def _key_of(call: ServiceCall, new_key: Callable[[], str]) -> str | None:
    key = call.idempotency_key
    if key is None:
        return new_key() if call.operation.repeat is Repeat.KEYED else None
    if not _KEY.fullmatch(key):
        raise InvalidInput("An idempotency key must be 1 to 255 printable ASCII characters.")
    return key


def _headers(
    call: ServiceCall, method: str, url: str, key: str | None, content: bytes, *, has_body: bool
) -> dict[str, str]:
    headers = {
        "Host": host_of(url),
        "Accept": f"{NDJSON}, application/json;q=0.9" if call.on_output else "application/json",
        # What we have not inflated cannot fill our memory.
        "Accept-Encoding": "identity",
        "User-Agent": "encola",
        "X-Operation": call.operation.name,
        **_context_headers(call.context),
    }
    if has_body:
        headers["Content-Type"] = "application/json"
    if method not in _BODILESS:
        headers["Content-Length"] = str(len(content))
    if key is not None:
        headers["Idempotency-Key"] = key
    return headers


def _context_headers(context: ExecutionContext) -> dict[str, str]:
    headers = {
        "X-Tenant-ID": context.tenant_id,
        "X-Agent-ID": context.agent_id,
        "X-Conversation-ID": context.conversation_id,
        "X-Collection-ID": context.collection_id,
        "X-Request-ID": context.request_id,
        "baggage": context.baggage,
    }
    return {name: value for name, value in headers.items() if value is not None}


def _encoded(data: JSON) -> bytes:
    try:
        return _encode(data).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJson("cannot be sent as JSON") from error


def _with_query(url: str, data: JSON) -> str:
    if not isinstance(data, dict):
        raise InvalidInput("The data of a call without a body must be an object: it is sent as the query.")
    pairs = [
        (name, value if isinstance(value, str) else _encoded(value).decode())
        for name, value in data.items()
        if value is not None
    ]
    return f"{url}{'&' if '?' in url else '?'}{urlencode(pairs)}" if pairs else url
