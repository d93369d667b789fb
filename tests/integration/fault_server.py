"""An HTTP server that misbehaves as told, one fault a request, on a real socket."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

Fault = Callable[["Exchange"], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Exchange:
    """One connection, on which one request comes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: "FaultServer"

    async def read_request(self) -> Request:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(method, target, headers, body)
        self.server.requests.append(request)
        self.server.asked.set()
        return request

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def wait_until_gone(self) -> None:
        while await self.reader.read(1024):
            pass
        self.server.left.set()

    def reset(self) -> None:
        self.writer.transport.abort()


class FaultServer:
    """Meets each request with the next fault; the last one is repeated.

    ``asked`` is set when a request has come, ``left`` when a client has closed on a hanging one.
    """

    def __init__(self, *faults: Fault) -> None:
        self._faults = list(faults)
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests: list[Request] = []
        self.connections = 0
        self.asked = asyncio.Event()
        self.left = asyncio.Event()

    @property
    def url(self) -> str:
        port: int = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        fault = self._faults[min(self.connections, len(self._faults) - 1)]
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await fault(Exchange(reader, writer, self))
        finally:
            writer.close()
            self._tasks.discard(task)


def reply(status: int = 200, value: object = None, **headers: str) -> Fault:
    """Answer properly. Header names are written with ``_`` for ``-``."""
    return raw_reply(status, json.dumps(value).encode(), content_type="application/json", **headers)


def raw_reply(status: int, body: bytes, **headers: str) -> Fault:
    async def fault(exchange: Exchange) -> None:
        await exchange.read_request()
        await exchange.send(_head(status, content_length=str(len(body)), **headers) + body)

    return fault


def delayed(seconds: float, fault: Fault) -> Fault:
    async def later(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await fault(exchange)

    return later


def dripping(body: bytes, every: float) -> Fault:
    """Send one byte of the body at a time."""

    async def fault(exchange: Exchange) -> None:
        await exchange.read_request()
        await exchange.send(_head(200, content_type="application/json", content_length=str(len(body))))
        for byte in body:
            await exchange.send(bytes([byte]))
            await asyncio.sleep(every)

    return fault


def streaming(*lines: object, every: float = 0.0) -> Fault:
    """Send JSON lines, one chunk each, and close."""

    async def fault(exchange: Exchange) -> None:
        await exchange.read_request()
        await exchange.send(_head(200, content_type="application/x-ndjson", transfer_encoding="chunked"))
        for line in lines:
            data = json.dumps(line).encode() + b"\n"
            await exchange.send(b"%x\r\n%b\r\n" % (len(data), data))
            await asyncio.sleep(every)
        await exchange.send(b"0\r\n\r\n")

    return fault


def raw(data: bytes) -> Fault:
    """Send these bytes in place of an answer."""

    async def fault(exchange: Exchange) -> None:
        await exchange.read_request()
        await exchange.send(data)

    return fault


async def hang(exchange: Exchange) -> None:
    """Read the request and never answer."""
    await exchange.read_request()
    await exchange.wait_until_gone()


async def endless_headers(exchange: Exchange) -> None:
    """Begin an answer whose headers never end, slowly."""
    await exchange.read_request()
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await exchange.send(b"x-more: yes\r\n")
        await asyncio.sleep(0.01)


async def endless_body(exchange: Exchange) -> None:
    """Send a body that never ends, as fast as it is taken."""
    await exchange.read_request()
    await exchange.send(_head(200, content_type="application/json"))
    while True:
        await exchange.send(b" " * 65536)


async def reset_before_request(exchange: Exchange) -> None:
    """Break the connection off without reading."""
    exchange.reset()


async def reset_after_request(exchange: Exchange) -> None:
    """Take the request in and break off: it may have been processed."""
    await exchange.read_request()
    exchange.reset()


async def close_after_request(exchange: Exchange) -> None:
    """Take the request in and close in good order, without an answer."""
    await exchange.read_request()


async def reset_within_response(exchange: Exchange) -> None:
    """Break off after the headers."""
    await exchange.read_request()
    await exchange.send(_head(200, content_type="application/json", content_length="100") + b'{"a":')
    await asyncio.sleep(0.02)
    exchange.reset()


def _head(status: int, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
