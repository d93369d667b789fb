"""Requests and responses in the form in which they are used here, and in httpx's for whoever asks.

httpx's headers and URLs cost as much as all the rest of a call, and are looked at by few.
"""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Final

import httpx

CONNECT_SECONDS: Final = 1.0
# What httpx's own transport reads; the time of everything else is bounded as a whole, from outside.
_EXTENSIONS: Final = {"timeout": {"connect": CONNECT_SECONDS}}


class OutgoingRequest(httpx.Request):
    """A request of texts and bytes."""

    def __init__(self, method: str, target: str, fields: dict[str, str], body: bytes) -> None:
        # The constructor of httpx.Request would make everything that is put off here.
        self.method = method
        self.target = target
        self.fields = fields
        self.body = body
        self.stream = httpx.ByteStream(body)
        self.extensions = dict(_EXTENSIONS)

    @cached_property
    def url(self) -> httpx.URL:  # type: ignore[override]  # an attribute all the same
        """Return where the request goes."""
        return _parsed(self.target)

    @cached_property
    def headers(self) -> httpx.Headers:  # type: ignore[override]
        """Return the fields as httpx's headers."""
        return httpx.Headers(self.fields)


class IncomingResponse(httpx.Response):
    """A response of bytes, with a body that is still to come."""

    def __init__(
        self, status_code: int, fields: Sequence[tuple[bytes, bytes]], body: httpx.AsyncByteStream
    ) -> None:
        # The constructor of httpx.Response would make everything that is put off here.
        self.status_code = status_code
        self.fields = fields
        self.stream = body
        self.extensions = {}
        self.history = []
        self.is_closed = False
        self.is_stream_consumed = False
        self.next_request = None
        self.default_encoding = "utf-8"
        self._request = None
        self._num_bytes_downloaded = 0

    @cached_property
    def headers(self) -> httpx.Headers:  # type: ignore[override]
        """Return the fields as httpx's headers."""
        return httpx.Headers(list(self.fields))


def fields_of(response: httpx.Response) -> Sequence[tuple[bytes, bytes]]:
    """Return the header fields of any response as they came."""
    return response.fields if isinstance(response, IncomingResponse) else response.headers.raw


@lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


@lru_cache(maxsize=1024)
def host_of(url: str) -> str:
    """Return what the ``Host`` header of a request to this address says."""
    return _parsed(url).netloc.decode("ascii")
