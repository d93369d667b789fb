"""Serving ASGI applications with uvicorn, on sockets that are taken before anything starts."""

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from encola.domain.errors import InvalidSettings

GRACE_SECONDS = 15


def take_port(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    :raises InvalidSettings: the port is taken, or the address is not this machine's
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends at once (TCP_NODELAY) only on sockets that say they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise InvalidSettings(f"Port {port} on {host} is taken; set ENCOLA_PORT to another.") from None
        raise InvalidSettings(f"Cannot listen on {host}, port {port}: {error.strerror}.") from None
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the URL at which the socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """Leaves signals to whoever runs it, several may run in one process; says when it answers."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield


def make_server(
    app: ASGIApp, *, log_level: str, lifespan: bool, on_ready: Callable[[], None] = lambda: None
) -> Server:
    """Return a server with the settings that job streams need.

    Compression is off: it costs memory per socket and gains nothing on short frames.
    """
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=16 * 1024,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        ws_per_message_deflate=False,
        lifespan="on" if lifespan else "off",
        log_config=None,
        log_level=log_level,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return Server(config, on_ready)


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket, *, log_level: str) -> AsyncGenerator[None, None]:
    """Serve ``app`` beside what the context does; for small servers without a lifespan."""
    server = make_server(app, log_level=log_level, lifespan=False)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


async def serve_until_told(
    app: ASGIApp,
    listener: socket.socket,
    stopping: asyncio.Event,
    *,
    log_level: str,
    on_ready: Callable[[], None] = lambda: None,
) -> bool:
    """Serve until SIGINT or SIGTERM; return whether the application had started.

    ``stopping`` is set first, so that streams end and the server need not wait for them. A second
    signal does not wait for open connections either.
    """
    server = make_server(app, log_level=log_level, lifespan=True, on_ready=on_ready)

    def stop() -> None:
        stopping.set()
        server.force_exit = server.should_exit
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    await server.serve(sockets=[listener])
    return server.started
