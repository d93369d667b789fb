"""What a transport takes for a response, and what becomes of its connections."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import get_args

import h11
import httpx
import pytest

from encola.adapters.http.aiohttp_transport import MOST_HEADER_BYTES, MOST_HEADERS
from encola.adapters.http.service_caller import HttpServiceCaller
from encola.adapters.http.transport import HttpTransport, build_transport
from encola.adapters.memory.circuit_board import InMemoryCircuitBoard
from encola.adapters.memory.ids import SeededIds
from encola.adapters.memory.metrics import InMemoryMetrics
from encola.adapters.telemetry import ChildIds
from encola.domain.context import ExecutionContext, TenantId
from encola.domain.policy import OperationPolicy, Repeat
from encola.domain.service import ServiceCall

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue"
CANCELLED = 3_000


@dataclass
class Peer:
    """A server that answers each request with bytes, in pieces, and may hang up afterwards."""

    pieces: tuple[bytes, ...] = (FINE,)
    hangs_up: bool = False
    pause: float = 0.0
    connections: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.add(writer)
        try:
            while await _request(reader):
                await asyncio.sleep(self.pause)
                for piece in self.pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if self.hangs_up:
                    break
        except OSError:
            pass
        finally:
            self.writers.discard(writer)
            writer.close()


async def _request(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    length = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + await reader.readexactly(int(length[0]) if length else 0)


@asynccontextmanager
async def serving(peer: Peer) -> AsyncIterator[Peer]:
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield peer
    finally:
        server.close()
        for writer in list(peer.writers):
            writer.close()
        await server.wait_closed()


@pytest.fixture(params=get_args(HttpTransport))
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncBaseTransport]:
    async with build_transport(request.param) as transport:
        yield transport


@pytest.fixture
async def own_transport() -> AsyncIterator[httpx.AsyncBaseTransport]:
    async with build_transport("aiohttp") as transport:
        yield transport


async def fetched(transport: httpx.AsyncBaseTransport, url: str, method: str = "POST") -> tuple[int, bytes]:
    async with asyncio.timeout(5):
        response = await transport.handle_async_request(httpx.Request(method, url))
        try:
            return response.status_code, await response.aread()
        finally:
            await response.aclose()


def understood(raw: bytes) -> tuple[int, bytes]:
    """Return what h11 reads in a response to a POST after which the connection ends."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(raw)
    connection.receive_data(b"")
    status, body = 0, b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
    return status, body


VALID = {
    "length": b'HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 7\r\n\r\n{"a":1}',
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
    "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
    "to the end": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil here",
    "nothing": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
    "early hints": b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
    "spaces": b"HTTP/1.1 200 OK\r\nX-A: \t b \t\r\nContent-Length:   1  \r\n\r\nx",
    "no reason": b"HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("raw", VALID.values(), ids=VALID.keys())
async def test_a_response_is_read_alike_wherever_it_is_split(
    own_transport: httpx.AsyncBaseTransport, raw: bytes
) -> None:
    expected = understood(raw)
    async with serving(Peer(hangs_up=b"close" in raw)) as peer:
        for place in range(1, len(raw)):
            peer.pieces = (raw[:place], raw[place:])
            assert await fetched(own_transport, peer.url) == expected, place


BROKEN = {
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 garbage\r\n\r\n", False),
    "no status": (b"HTTP/1.1 OK\r\n\r\n", False),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", True),
    "cut headers": (FINE[:20], True),
    "cut body": (FINE[:-1], True),
    "cut chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", True),
    "no last chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", True),
    "negative chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n", False),
    "chunk of letters": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", False),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\ntrue1", False),
    "length and chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntrue\r\n0\r\n\r\n",
        False,
    ),
    "negative length": (b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\ntrue", False),
    "no colon": (b"HTTP/1.1 200 OK\r\nContent-Length 4\r\n\r\ntrue", False),
    "a long header": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (MOST_HEADER_BYTES + 1) + b"\r\n\r\n", False),
    "many headers": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (MOST_HEADERS + 1) + b"\r\n", False),
}


@pytest.mark.parametrize(("raw", "hangs_up"), BROKEN.values(), ids=BROKEN.keys())
async def test_what_is_no_response_is_an_error_and_its_connection_is_not_used_again(
    own_transport: httpx.AsyncBaseTransport, raw: bytes, hangs_up: bool
) -> None:
    async with serving(Peer((raw,), hangs_up=hangs_up)) as peer:
        with pytest.raises(httpx.TransportError) as raised:
            await fetched(own_transport, peer.url)
        peer.pieces, peer.hangs_up = (FINE,), False

        assert not isinstance(raised.value, httpx.ConnectError | httpx.ConnectTimeout)
        assert await fetched(own_transport, peer.url) == (200, b"true")
        assert peer.connections == 2


async def test_what_follows_a_response_unasked_is_not_taken_for_the_next_one(
    own_transport: httpx.AsyncBaseTransport,
) -> None:
    async with serving(Peer((FINE + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse",))) as peer:
        for _ in range(3):
            assert await fetched(own_transport, peer.url) == (200, b"true")


async def test_a_kept_connection_that_was_closed_is_not_used(transport: httpx.AsyncBaseTransport) -> None:
    async with serving(Peer()) as peer:
        for _ in range(3):
            assert await fetched(transport, peer.url) == (200, b"true")
            while peer.writers:
                for writer in list(peer.writers):
                    writer.close()
                await asyncio.sleep(0.01)

        assert peer.connections == 3


Hangup = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _within_the_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(10)
    writer.transport.abort()


async def _after_the_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.close()


async def _within_the_response(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(FINE[:-2])
    await writer.drain()
    writer.transport.abort()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("hang_up", [_at_once, _within_the_request, _after_the_request, _within_the_response])
async def test_what_was_perhaps_received_is_never_called_not_sent_nor_sent_twice(
    transport: httpx.AsyncBaseTransport, hang_up: Hangup, method: str
) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await hang_up(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        with pytest.raises(httpx.TransportError) as raised:
            await fetched(transport, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", method)

    assert not isinstance(raised.value, httpx.ConnectError | httpx.ConnectTimeout)
    assert connections == 1


async def test_what_found_no_connection_is_called_not_sent(transport: httpx.AsyncBaseTransport) -> None:
    server = await asyncio.start_server(_at_once, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()

    for url in (f"http://127.0.0.1:{port}/", "http://no-such-host.invalid/"):
        with pytest.raises(httpx.ConnectError):
            await fetched(transport, url)


async def test_callers_that_are_cancelled_cost_nobody_else_a_place(
    transport: httpx.AsyncBaseTransport,
) -> None:
    policy = OperationPolicy(name="test", timeout=5.0, repeat=Repeat.NEVER, attempts=1)
    call = ServiceCall(
        service="peer",
        path="/",
        operation=policy,
        context=ExecutionContext(tenant_id=TenantId("acme")),
        timeout=5.0,
    )
    chance = random.Random(4)
    async with serving(Peer(pause=0.02)) as peer:
        caller = HttpServiceCaller(
            {"peer": peer.url},
            transport,
            chance=chance.random,
            metrics=InMemoryMetrics(),
            board=InMemoryCircuitBoard(),
            telemetry=ChildIds(SeededIds().random_hex),
        )

        async def cancel_some() -> None:
            for _ in range(CANCELLED // 60):
                task = asyncio.create_task(caller.call(call))
                await asyncio.sleep(chance.random() * 0.02)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        before = asyncio.all_tasks()
        await asyncio.gather(*(cancel_some() for _ in range(60)))
        results = [await caller.call(call) for _ in range(30)]

        assert [result.success for result in results] == [True] * 30
        assert asyncio.all_tasks() - before == {task for task in asyncio.all_tasks() if _is_of(peer, task)}
        await caller.close()


def _is_of(peer: Peer, task: "asyncio.Task[object]") -> bool:
    return "Peer.serve" in repr(task.get_coro())
