"""A proxy breaks connections in every way that a network does."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from encola.testing.loopback import HOST, free_ports
from encola.testing.tcp_proxy import TcpProxy, Way

PATIENCE = 10.0
A_MOMENT = 0.2
Ends = tuple[socket.socket, socket.socket]


class Server:
    """Accepts connections; the test reads and writes on the server's side of each."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0))
        self._listener.settimeout(PATIENCE)
        self.port = self._listener.getsockname()[1]
        self._accepted: list[socket.socket] = []

    def accept(self) -> socket.socket:
        connection, _ = self._listener.accept()
        connection.settimeout(PATIENCE)
        self._accepted.append(connection)
        return connection

    def accepts_within_a_moment(self) -> bool:
        self._listener.settimeout(A_MOMENT)
        try:
            self.accept()
        except TimeoutError:
            return False
        finally:
            self._listener.settimeout(PATIENCE)
        return True

    def close(self) -> None:
        for connection in [self._listener, *self._accepted]:
            connection.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a listening server."""
    with closing(Server()) as server:
        yield server


@pytest.fixture
def proxy(server: Server) -> Iterator[TcpProxy]:
    """Return a proxy to the server that passes everything."""
    with TcpProxy(HOST, server.port) as proxy:
        yield proxy


@pytest.fixture
def connect(proxy: TcpProxy) -> Iterator[Callable[[], socket.socket]]:
    """Return a function that opens a connection to the proxy."""
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        connection = socket.create_connection((HOST, proxy.port), PATIENCE)
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def ends(connect: Callable[[], socket.socket], server: Server) -> Ends:
    """Return the client's and the server's end of an open connection."""
    client = connect()
    at_server = server.accept()
    at_server.sendall(b"welcome")
    assert read(client, 7) == b"welcome"
    return client, at_server


def test_bytes_pass_both_ways_unchanged_and_in_order(ends: Ends) -> None:
    client, at_server = ends
    data = bytes(range(256)) * 20_000

    for sender, receiver in (client, at_server), (at_server, client):
        writing = threading.Thread(target=sender.sendall, args=(data,))
        writing.start()
        assert read(receiver, len(data)) == data
        writing.join(PATIENCE)


def test_one_side_may_end_before_the_other(ends: Ends, proxy: TcpProxy) -> None:
    client, at_server = ends
    client.sendall(b"all I have to say")
    client.shutdown(socket.SHUT_WR)
    assert read(at_server, 100) == b"all I have to say"

    at_server.sendall(b"heard")
    at_server.close()
    assert read(client, 100) == b"heard"
    wait_until(lambda: proxy.connections == 0)


def test_a_cut_resets_both_sides_and_new_connections_pass(
    ends: Ends, proxy: TcpProxy, connect: Callable[[], socket.socket], server: Server
) -> None:
    proxy.cut()

    for end in ends:
        with pytest.raises(ConnectionResetError):
            end.recv(1)
    assert proxy.connections == 0
    connect().sendall(b"again")
    assert read(server.accept(), 5) == b"again"


def test_refusing_leaves_open_connections_alone_until_all_is_resumed(
    ends: Ends, proxy: TcpProxy, connect: Callable[[], socket.socket], server: Server
) -> None:
    client, at_server = ends
    proxy.refuse()
    proxy.refuse()

    with pytest.raises(ConnectionRefusedError):
        connect()
    client.sendall(b"still there")
    assert read(at_server, 11) == b"still there"

    proxy.resume()
    connect().sendall(b"again")
    assert read(server.accept(), 5) == b"again"


def test_a_delay_makes_everything_later_each_way_and_keeps_the_order(ends: Ends, proxy: TcpProxy) -> None:
    client, at_server = ends
    proxy.delay(300)

    began = time.monotonic()
    for number in range(10):
        client.sendall(bytes([number]))
    assert read(at_server, 10) == bytes(range(10))
    there = time.monotonic() - began
    at_server.sendall(b"back")
    assert read(client, 4) == b"back"
    there_and_back = time.monotonic() - began

    assert there >= 0.3
    assert there_and_back >= 0.6
    assert there < 10 * 0.3, "each chunk waited for the one before it"


def test_what_is_delayed_comes_at_once_when_resumed(ends: Ends, proxy: TcpProxy) -> None:
    client, at_server = ends
    proxy.delay(3_600_000)
    client.sendall(b"late")
    assert is_silent(at_server)

    proxy.resume()

    assert read(at_server, 4) == b"late"


def test_a_frozen_connection_is_silent_both_ways_and_not_closed(ends: Ends, proxy: TcpProxy) -> None:
    client, at_server = ends
    proxy.freeze()

    client.sendall(b"question")
    at_server.sendall(b"answer")
    assert is_silent(at_server)
    assert is_silent(client)
    assert proxy.connections == 1

    proxy.resume()
    assert read(at_server, 8) == b"question"
    assert read(client, 6) == b"answer"


@pytest.mark.parametrize("way", list(Way))
def test_one_way_can_be_frozen_alone(way: Way, ends: Ends, proxy: TcpProxy) -> None:
    client, at_server = ends
    sender, receiver = ends if way is Way.TO_SERVER else (at_server, client)
    proxy.freeze(way)

    receiver.sendall(b"open way")
    assert read(sender, 8) == b"open way"
    sender.sendall(b"frozen way")
    assert is_silent(receiver)

    proxy.resume()
    assert read(receiver, 10) == b"frozen way"


def test_a_frozen_end_of_a_connection_is_not_told_before_it_is_resumed(ends: Ends, proxy: TcpProxy) -> None:
    client, at_server = ends
    proxy.freeze()
    client.close()
    assert is_silent(at_server)

    proxy.resume()
    assert at_server.recv(1) == b""


def test_new_connections_are_taken_while_frozen_and_reach_the_server_when_resumed(
    proxy: TcpProxy, connect: Callable[[], socket.socket], server: Server
) -> None:
    proxy.freeze()
    connect().sendall(b"is anybody there")
    assert not server.accepts_within_a_moment()

    proxy.resume()
    assert read(server.accept(), 16) == b"is anybody there"


def test_a_frozen_way_holds_a_sender_back_instead_of_growing(ends: Ends, proxy: TcpProxy) -> None:
    client, _ = ends
    proxy.freeze()
    client.settimeout(1.0)

    with pytest.raises(TimeoutError):
        client.sendall(bytes(64 * 1024 * 1024))


def test_frozen_and_delayed_connections_can_be_cut(ends: Ends, proxy: TcpProxy) -> None:
    client, at_server = ends
    proxy.delay(3_600_000)
    client.sendall(b"late")
    proxy.freeze()

    proxy.cut()

    for end in (client, at_server):
        with pytest.raises(ConnectionResetError):
            end.recv(1)


def test_a_reset_by_one_side_reaches_the_other(ends: Ends, proxy: TcpProxy) -> None:
    client, at_server = ends
    at_server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    at_server.close()

    with pytest.raises(ConnectionResetError):
        client.recv(1)
    wait_until(lambda: proxy.connections == 0)


def test_a_client_is_reset_when_there_is_no_server() -> None:
    with TcpProxy(HOST, free_ports(1)[0]) as proxy, socket.create_connection((HOST, proxy.port)) as client:
        client.settimeout(PATIENCE)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_closed_proxy_has_closed_its_connections_and_its_port(server: Server) -> None:
    with TcpProxy(HOST, server.port) as proxy:
        client = socket.create_connection((HOST, proxy.port), PATIENCE)
        server.accept().sendall(b"welcome")
        assert read(client, 7) == b"welcome"

    with closing(client), pytest.raises(ConnectionResetError):
        client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, proxy.port), PATIENCE)


def test_a_url_leads_through_the_proxy_with_all_else_as_it_was(proxy: TcpProxy, server: Server) -> None:
    changed = urlsplit(proxy.url(f"amqps://me:p%40ss@{HOST}:{server.port}/vhost?heartbeat=5"))

    assert changed.geturl() == f"amqps://me:p%40ss@{HOST}:{proxy.port}/vhost?heartbeat=5"
    assert TcpProxy.of(f"redis://{HOST}:{server.port}/3").url("redis://elsewhere:1/3").endswith("/3")
    with pytest.raises(ValueError, match="host and a port"):
        TcpProxy.of("redis://elsewhere/0")


def read(connection: socket.socket, length: int) -> bytes:
    """Return so many bytes, or what came before the end."""
    with connection.makefile("rb") as stream:
        return stream.read(length)


def is_silent(connection: socket.socket) -> bool:
    """Tell whether neither bytes nor an end come for a moment."""
    connection.settimeout(A_MOMENT)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(PATIENCE)
    return False


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when something has come true; fail when it does not."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)
