"""A request in the form in which it is prepared, for transports that know it, and in httpx's for others."""

from functools import cached_property, lru_cache
from typing import Final

import httpx

CONNECT_SECONDS: Final = 1.0
# What httpx's own transport reads; the time of everything else is bounded as a whole, from outside.
_EXTENSIONS: Final = {"timeout": {"connect": CONNECT_SECONDS}}


class OutgoingRequest(httpx.Request):
    """A request of texts and bytes.

    httpx's headers and URL are made of them only when somebody asks: together they cost as much as
    the rest of preparing a call.
    """

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


@lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


@lru_cache(maxsize=1024)
def host_of(url: str) -> str:
    """Return what the ``Host`` header of a request to this address says."""
    return _parsed(url).netloc.decode("ascii")
