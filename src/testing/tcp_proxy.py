"""A TCP proxy that breaks connections on command, between a client and a server that stay as they are."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from enum import Enum
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from encola.testing.loopback import HOST, free_ports

_COMMAND_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 10.0
_CHUNK_BYTES: Final = 16_384
# What waits in one direction of one connection, at most; then its sender is held back.
_CHUNKS_WAITING: Final = 1_024
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Way(Enum):
    """A direction of the bytes."""

    TO_SERVER = "to server"
    TO_CLIENT = "to client"


class TcpProxy:
    """Passes bytes between a port of its own and a server, until told otherwise.

    It works in a thread of its own; its methods may be called from any thread and have taken effect when
    they return. Bytes are only ever late or not passed on, never changed, doubled or reordered.

    :param host: the server's
    :param port: the server's
    :ivar port: where it listens on ``127.0.0.1``, the same as long as it lives
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread
        self._listener: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._traffic = _Traffic()
        self.port = free_ports(1)[0]

    @classmethod
    def of(cls, url: str) -> Self:
        """Return a proxy for the server of a URL.

        :raises ValueError: the URL names no port
        """
        parts = urlsplit(url)
        if parts.hostname is None or parts.port is None:
            raise ValueError("the URL must name a host and a port")
        return cls(parts.hostname, parts.port)

    def url(self, original: str) -> str:
        """Return a URL of the server, changed so that it leads through here."""
        parts = urlsplit(original)
        credentials, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{credentials}{at}{HOST}:{self.port}").geturl()

    @property
    def connections(self) -> int:
        """Return how many connections are open, the frozen ones included."""
        return len(self._links)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_COMMAND_SECONDS)
        self._loop.close()

    def cut(self) -> None:
        """Reset every open connection, on both sides; new ones are taken as before."""
        self._do(self._cut())

    def refuse(self) -> None:
        """Refuse new connections, as if nobody listened; the open ones go on."""
        self._do(self._stop_listening())

    def delay(self, milliseconds: float) -> None:
        """Pass on whatever comes from now on that much later, each way; the bandwidth stays."""
        self._do(self._change(lambda traffic: traffic.slow_down(milliseconds / 1000)))

    def freeze(self, *ways: Way) -> None:
        """Pass nothing any more, both ways if none is named, and close nothing: a half-open connection.

        New connections are still taken. What is sent meanwhile, an end of the connection included, is
        held and passed on after :meth:`resume`. The bytes are acknowledged by this machine's kernel.
        """
        self._do(self._change(lambda traffic: traffic.hold(*(ways or Way))))

    def resume(self) -> None:
        """Take new connections and pass everything on at once, whatever was commanded before."""
        self._do(self._listen())
        self._do(self._change(_Traffic.free))

    def _do(self, command: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(command, self._loop).result(_COMMAND_SECONDS)

    async def _change(self, change: Callable[["_Traffic"], None]) -> None:
        change(self._traffic)

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, HOST, self.port, backlog=1024)

    async def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _cut(self) -> None:
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)
        await asyncio.sleep(0)  # in its next turn the loop closes the sockets

    async def _close(self) -> None:
        await self._stop_listening()
        await self._cut()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = self._loop.create_task(_Link(self._target, self._traffic).carry(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)
        # One that is cut before its first step has not come to its own way of closing.
        link.add_done_callback(lambda _: _reset(writer))


class _Traffic:
    """What all connections go by: which ways are open, and how late everything is."""

    def __init__(self) -> None:
        self.delay = 0.0
        self._open = {way: asyncio.Event() for way in Way}
        self._prompt = asyncio.Event()
        self.free()

    def free(self) -> None:
        self.delay = 0.0
        self._prompt.set()
        for gate in self._open.values():
            gate.set()

    def slow_down(self, seconds: float) -> None:
        self.delay = seconds
        self._prompt.clear()

    def hold(self, *ways: Way) -> None:
        for way in ways:
            self._open[way].clear()

    async def let_pass(self, way: Way, due: float) -> None:
        """Return when what came in time for ``due`` may go on."""
        if not self._prompt.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._prompt.wait()
        while not self._open[way].is_set():
            await self._open[way].wait()


class _Link:
    """One client's connection and the one to the server that belongs to it."""

    def __init__(self, target: tuple[str, int], traffic: _Traffic) -> None:
        self._target = target
        self._traffic = traffic

    async def carry(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Pass bytes until both sides have ended; a broken side breaks the other one too."""
        writers = [to_client]
        try:
            server, to_server = await self._connect()
            writers.append(to_server)
            async with asyncio.TaskGroup() as tasks:
                self._carry_one_way(tasks, Way.TO_SERVER, client, to_server)
                self._carry_one_way(tasks, Way.TO_CLIENT, server, to_client)
            for writer in writers:
                writer.close()
                await writer.wait_closed()
        except* OSError:
            pass
        finally:
            for writer in writers:
                _reset(writer)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        await self._traffic.let_pass(Way.TO_SERVER, 0.0)
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await asyncio.open_connection(*self._target)

    def _carry_one_way(
        self, tasks: asyncio.TaskGroup, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        waiting: asyncio.Queue[_Chunk] = asyncio.Queue(_CHUNKS_WAITING)
        tasks.create_task(self._take(reader, waiting))
        tasks.create_task(self._give(way, waiting, writer))

    async def _take(self, reader: asyncio.StreamReader, waiting: "asyncio.Queue[_Chunk]") -> None:
        data: bytes | None = b"..."
        while data:
            try:
                data = await reader.read(_CHUNK_BYTES)
            except ConnectionError:
                data = None
            await waiting.put((asyncio.get_running_loop().time() + self._traffic.delay, data))

    async def _give(self, way: Way, waiting: "asyncio.Queue[_Chunk]", writer: asyncio.StreamWriter) -> None:
        while True:
            due, data = await waiting.get()
            await self._traffic.let_pass(way, due)
            if data is None:
                raise ConnectionResetError
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()


# When it may go on, by the loop's clock, and the bytes: none at the end, None if the connection broke.
_Chunk = tuple[float, bytes | None]


def _reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection off; one that has been closed stays so."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
