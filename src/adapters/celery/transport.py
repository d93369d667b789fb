"""Celery's AMQP transport, reading and writing in bursts.

py-amqp asks the kernel for each of the nine pieces of a message, and each time lets go of the interpreter
lock, which the loop's thread then keeps for a while. Here a burst of messages costs one call.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from struct import Struct
from typing import Any, Final

from amqp.exceptions import RecoverableConnectionError, UnexpectedFrame
from amqp.transport import SSLTransport, TCPTransport
from kombu.transport import pyamqp

BURST_BYTES: Final = 256 * 1024

_HEADER: Final = Struct(">BHI")
_FRAME_END: Final = 0xCE

Frame = tuple[int, int, bytes]


class BurstTransport(TCPTransport):
    """A TCP connection that can read all that has come, and hold back what is written.

    The ordinary reading of one frame still takes exactly that frame from the kernel, so that nothing
    is ever left behind where the hub would not look for it.
    """

    _held: bytearray | None = None
    _read_buffer: bytes
    _write: Callable[[bytes | memoryview | bytearray], object]

    def _setup_transport(self) -> None:
        super()._setup_transport()
        self._send = self._write
        self._write = self._send_or_hold

    def _send_or_hold(self, data: bytes | memoryview | bytearray) -> None:
        if self._held is None:
            self._send(data)
        else:
            self._held += data

    @contextmanager
    def one_write(self) -> Generator[None, None, None]:
        """Send what is written within the context at its end."""
        held = self._held = bytearray()
        try:
            yield
        finally:
            self._held = None
            if held:
                self.write(held)

    def read_burst(self) -> list[Frame]:
        """Return the frames that have come whole.

        :raises socket.timeout: nothing has come
        :raises OSError: the connection is lost
        """
        with self.having_timeout(0):
            received = self.sock.recv(BURST_BYTES)
        if not received:
            self.connected = False
            raise OSError("Server unexpectedly closed connection")
        data = self._read_buffer + received
        frames, self._read_buffer = split_frames(data)
        return frames


def split_frames(data: bytes) -> tuple[list[Frame], bytes]:
    """Return the whole frames in the data, and the rest.

    :raises UnexpectedFrame: it is not what AMQP sends
    """
    frames: list[Frame] = []
    start, size = 0, len(data)
    while size - start > _HEADER.size:
        kind, channel, length = _HEADER.unpack_from(data, start)
        end = start + _HEADER.size + length
        if end >= size:
            break
        if data[end] != _FRAME_END:
            raise UnexpectedFrame("a frame does not end where it should")
        frames.append((kind, channel, data[start + _HEADER.size : end]))
        start = end + 1
    return frames, data[start:]


class Connection(pyamqp.Connection):
    """py-amqp's connection, over :class:`BurstTransport` where it is not encrypted."""

    def Transport(  # noqa: N802
        self,
        host: str,
        connect_timeout: float,
        ssl: Any = False,
        read_timeout: float | None = None,
        write_timeout: float | None = None,
        socket_settings: Any = None,
        **options: Any,
    ) -> Any:
        """Called by py-amqp to make the connection beneath."""
        return (SSLTransport if ssl else BurstTransport)(
            host,
            connect_timeout=connect_timeout,
            ssl=ssl,
            read_timeout=read_timeout,
            write_timeout=write_timeout,
            socket_settings=socket_settings,
            **options,
        )


class Transport(pyamqp.Transport):
    """Kombu's transport, handling everything that has come before the hub turns again."""

    Connection = Connection

    def on_readable(self, connection: Any, loop: Any) -> None:
        """Called by the hub when bytes have come."""
        transport = connection.transport
        if not isinstance(transport, BurstTransport):
            super().on_readable(connection, loop)
            return
        if not connection.connected:
            raise RecoverableConnectionError("Socket was disconnected")
        try:
            frames = transport.read_burst()
        except TimeoutError:
            return
        for frame in frames:
            connection.on_inbound_frame(frame)
