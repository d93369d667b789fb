"""What carries the requests: aiohttp, or httpx."""

from typing import Literal

import httpx

from encola.adapters.http.aiohttp_transport import AiohttpTransport
from encola.adapters.http.messages import CONNECT_SECONDS

HttpTransport = Literal["aiohttp", "httpx"]

# Below the five seconds after which uvicorn closes an idle connection: a request that is written
# just then is lost, and may not be repeated.
IDLE_SECONDS = 3.0


def build_transport(kind: HttpTransport = "aiohttp") -> httpx.AsyncBaseTransport:
    """Return a transport that takes nothing from the environment, follows nothing and remembers nothing.

    The number of connections is bounded by the bulkheads alone. httpx 0.28 loses places in a bounded
    pool when callers are cancelled while they wait for one (encode/httpx#3215).
    """
    if kind == "aiohttp":
        return AiohttpTransport(connect_seconds=CONNECT_SECONDS, idle_seconds=IDLE_SECONDS)
    return httpx.AsyncHTTPTransport(
        trust_env=False,
        limits=httpx.Limits(
            max_connections=None, max_keepalive_connections=100, keepalive_expiry=IDLE_SECONDS
        ),
    )
