"""Reading an answer, as far as it may be trusted: size, form, envelope."""

import json
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import NoReturn, Self, cast

import httpx

from encola.adapters.http.backoff import retry_after
from encola.adapters.http.failures import Failure, answered, not_understood, refused
from encola.adapters.http.messages import fields_of
from encola.domain.json_value import JSON

MAX_BYTES = 10 * 2**20
NDJSON = "application/x-ndjson"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


# Made once, for json.loads makes a new decoder whenever its options are not the default ones.
_decode = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite).decode


@dataclass(slots=True, kw_only=True)
class Answer:
    """What one attempt brought: data, or a failure."""

    data: JSON = None
    failure: Failure | None = None


class _Unusable(Exception):
    """The answer breaks a rule; the text completes "The service …"."""

    def __init__(self, what: str, code: str = "invalid_response") -> None:
        super().__init__(what)
        self.code = code


async def read_answer(
    response: httpx.Response, service: str, on_output: Callable[[str], None] | None
) -> Answer:
    """Read a response to its end, and pass its output lines on as they come.

    :raises httpx.TransportError: the connection failed on the way
    """
    try:
        return await _read(response, service, on_output)
    except _Unusable as error:
        return Answer(failure=not_understood(service, str(error), code=error.code))


async def _read(response: httpx.Response, service: str, on_output: Callable[[str], None] | None) -> Answer:
    encoding, media_type = _form(response)
    if encoding not in (b"", b"identity"):
        raise _Unusable("compressed its answer, which was not asked for")
    if 300 <= response.status_code < 400:
        raise _Unusable("answered with a redirect, which is never followed")
    if not response.is_success:
        return Answer(failure=await _error(response, service))
    if media_type.partition(b";")[0].strip() == NDJSON.encode():
        return _opened(await _last_line(response, on_output), service, response.status_code)
    body = await _whole(response)
    return _opened(_parsed(body), service, response.status_code) if body else Answer()


async def _error(response: httpx.Response, service: str) -> Failure:
    try:
        body = _parsed(await _whole(response))
    except _Unusable:
        body = None
    fields = body if isinstance(body, dict) else None
    return answered(service, response.status_code, fields, retry_after(response.headers))


def _opened(body: JSON, service: str, status: int) -> Answer:
    """Take the data out of its envelope; JSON without an envelope is the data."""
    if not isinstance(body, dict) or not isinstance(body.get("success"), bool):
        return Answer(data=body)
    if not body["success"]:
        return Answer(failure=refused(service, status, body))
    return Answer(data=body.get("data"))


async def _last_line(response: httpx.Response, on_output: Callable[[str], None] | None) -> JSON:
    async for line in _lines(response):
        message = _parsed(line)
        if not isinstance(message, dict):
            raise _Unusable("streamed a line that is not a JSON object")
        if isinstance(message.get("success"), bool):
            return message
        text = message.get("output")
        if on_output is not None and isinstance(text, str):
            on_output(text)
    raise _Unusable("ended its stream without an answer")


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    rest = bytearray()
    async for piece in _Pieces(response):
        rest += piece
        *lines, rest = rest.split(b"\n") if b"\n" in piece else [rest]
        for line in lines:
            if line.strip():
                yield bytes(line)
    if rest.strip():
        yield bytes(rest)


async def _whole(response: httpx.Response) -> bytes:
    pieces = [piece async for piece in _Pieces(response)]
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _Pieces:
    """The body as it comes, up to 10 MiB.

    An iterator rather than an async generator, of which the event loop keeps a book.
    """

    def __init__(self, response: httpx.Response) -> None:
        # Nothing is compressed, so what the transport gives is what was sent.
        self._next = aiter(cast("httpx.AsyncByteStream", response.stream)).__anext__
        self._size = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._next()
        self._size += len(piece)
        if self._size > MAX_BYTES:
            raise _Unusable(f"sent more than {MAX_BYTES // 2**20} MiB", "response_too_large")
        return piece


def _parsed(body: bytes) -> JSON:
    try:
        value: JSON = _decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise _Unusable("answered with something that is not JSON") from None
    return value


def _form(response: httpx.Response) -> tuple[bytes, bytes]:
    """Return the content encoding and the media type, in lower case; httpx's own look-up is slow."""
    encoding = media_type = b""
    for name, value in fields_of(response):
        lower = name.lower()
        if lower == b"content-encoding":
            encoding = value.lower()
        elif lower == b"content-type":
            media_type = value.lower()
    return encoding, media_type
