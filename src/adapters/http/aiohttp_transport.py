"""HTTP by aiohttp, behind httpx's interface of a transport."""

from typing import Final, Self

import aiohttp
import httpx
from aiohttp.client import ClientTimeout
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.tracing import Trace
from yarl import URL

from encola.adapters.http.messages import IncomingResponse, OutgoingRequest

MOST_HEADERS: Final = 100
MOST_HEADER_BYTES: Final = 8 * 1024


class _NotSent(Exception):
    """There was no connection for the request, so none of its bytes has left; the cause says why."""


class _Connector(aiohttp.TCPConnector):
    """Tells what happened before there was a connection from what happened on one."""

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        try:
            return await super().connect(req, traces, timeout)
        except Exception as error:
            raise _NotSent from error


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends requests over kept connections, and survives any number of cancelled callers.

    - ``httpx.ConnectError`` and ``httpx.ConnectTimeout`` mean that not one byte of the request has
      left; every other error that it may have been received and worked on.
    - Nothing is taken from the environment, followed, inflated, remembered or sent twice. A response
      has at most 100 headers, each of at most 8 KiB.
    - The number of connections is not bounded here; whoever calls bounds the requests under way.

    It is opened by its first use, and belongs to the event loop of that.

    :param connect_seconds: for the whole way to a connection, TLS included
    :param idle_seconds: how long a connection is kept that nobody uses
    """

    def __init__(self, *, connect_seconds: float, idle_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, and return the response when its headers are there.

        :raises httpx.TransportError: see the class
        """
        if self._is_closed:
            raise httpx.ConnectError("the transport is closed")
        session = self._session or self._open()
        if isinstance(request, OutgoingRequest):
            target, fields, body = request.target, request.fields, request.body
        else:
            target, fields, body = str(request.url), dict(request.headers), await request.aread()
        try:
            response = await session.request(
                request.method,
                URL(target, encoded=True),
                data=body or None,
                headers=fields,
                allow_redirects=False,
            )
        except (_NotSent, aiohttp.ClientError, OSError) as error:
            raise _translated(error) from error
        return IncomingResponse(response.status, response.raw_headers, _Body(response))

    async def aclose(self) -> None:
        """Close all connections; no request is sent any more."""
        self._is_closed = True
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=_Connector(limit=0, keepalive_timeout=self._idle_seconds),
            timeout=ClientTimeout(total=None, connect=self._connect_seconds, ceil_threshold=float("inf")),
            # One session serves every tenant, so a cookie would carry one's session to another.
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            max_line_size=MOST_HEADER_BYTES,
            max_field_size=MOST_HEADER_BYTES,
            max_headers=MOST_HEADERS,
        )
        # aiohttp would send a GET a second time that found its kept connection closed; whether to is
        # for the caller to decide, who counts.
        self._session._retry_connection = False
        return self._session


class _Body(httpx.AsyncByteStream):
    """The body of a response as it comes; a connection whose body was not read whole is not kept."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    # An iterator rather than an async generator, of which the event loop keeps a book.
    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise _translated(error) from error
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        self._response.close()


def _translated(error: Exception) -> httpx.TransportError:
    """Return httpx's name for an error; ``answers`` and ``failures`` know what each of them means."""
    if isinstance(error, _NotSent):
        if isinstance(error.__cause__, TimeoutError):
            return httpx.ConnectTimeout("no connection in time")
        return httpx.ConnectError("no connection")
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return httpx.RemoteProtocolError("the server disconnected")
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return httpx.RemoteProtocolError("not HTTP")
    return httpx.ReadError("the connection broke")
