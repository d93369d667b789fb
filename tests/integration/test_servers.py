"""Private servers start, fail and end as told, and nothing of them is left."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import kombu
import pytest
import redis
from process_table import are_private, ports_of, processes_in

from encola.testing.loopback import HOST
from encola.testing.servers import RabbitServer, RedisServer, ServerFailed, ServersMissing

ENVIRONMENT_OF_OTHERS = {
    "RABBITMQ_NODENAME": "rabbit@elsewhere",
    "RABBITMQ_NODE_PORT": "5672",
    "ERL_FLAGS": "-x",
}
DEFAULT_PORTS = {4369, 5672, 6379, 25672}
PATIENCE = 10.0
STARTER = """
import signal, sys
from pathlib import Path
from encola.testing.servers import RabbitServer, RedisServer

server = {"redis": RedisServer, "rabbit": RabbitServer}[sys.argv[1]](Path(sys.argv[2]))
server.start()
print("started", flush=True)
signal.pause()
"""


@pytest.fixture
def redis_of_mine(tmp_path: Path) -> Iterator[RedisServer]:
    """Return a running Redis that the test may break."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def one_rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """Return the RabbitMQ of the module, which is costly to start."""
    server = RabbitServer(tmp_path_factory.mktemp("rabbit"), options={"consumer_timeout": "123456"})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT_OF_OTHERS.items():
            patch.setenv(name, value)
        server.start()
    yield server
    server.kill()


@pytest.fixture
def rabbit_of_mine(one_rabbit: RabbitServer) -> Iterator[RabbitServer]:
    """Return a running RabbitMQ without queues that the test may break."""
    if not one_rabbit.is_running:
        one_rabbit.wipe()
        one_rabbit.start()
    yield one_rabbit
    with suppress(RuntimeError):
        one_rabbit.resume()


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Callable[[str, Path], subprocess.Popen[str]]]:
    """Return a function that starts a Python which starts a server in a folder, and waits."""
    processes: list[subprocess.Popen[str]] = []

    def start(kind: str, folder: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", STARTER, kind, folder]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate(timeout=PATIENCE)


def test_a_redis_keeps_everything_through_a_kill_and_a_restart(redis_of_mine: RedisServer) -> None:
    write(redis_of_mine, "1")
    redis_of_mine.kill()
    redis_of_mine.start()
    assert read(redis_of_mine) == "1"

    write(redis_of_mine, "2")
    redis_of_mine.restart()
    assert read(redis_of_mine) == "2"


def test_a_wiped_redis_comes_back_empty_at_the_same_port(redis_of_mine: RedisServer) -> None:
    write(redis_of_mine, "1")
    url = redis_of_mine.url

    redis_of_mine.wipe()
    redis_of_mine.start()

    assert read(redis_of_mine) is None
    assert redis_of_mine.url == url


def test_a_redis_is_set_as_asked(tmp_path: Path) -> None:
    with (
        RedisServer(tmp_path, fsync="everysec", options={"maxmemory": "3000000"}) as server,
        client_of(server) as client,
    ):
        settings = client.config_get("appendfsync", "maxmemory", "maxmemory-policy", "appendonly", "save")

    assert settings == {
        "appendfsync": "everysec",
        "maxmemory": "3000000",
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "save": "",
    }


def test_a_paused_redis_keeps_connections_and_answers_after_it_is_resumed(redis_of_mine: RedisServer) -> None:
    with client_of(redis_of_mine, socket_timeout=0.2) as client:
        client.ping()
        redis_of_mine.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        redis_of_mine.resume()
        assert client.ping()


def test_a_paused_redis_can_be_stopped(redis_of_mine: RedisServer) -> None:
    write(redis_of_mine, "1")
    redis_of_mine.pause()
    redis_of_mine.stop()

    assert processes_in(redis_of_mine.folder) == []


@pytest.mark.parametrize("end", [RedisServer.stop, RedisServer.kill])
def test_nothing_is_left_of_an_ended_redis(
    redis_of_mine: RedisServer, end: Callable[[RedisServer], None]
) -> None:
    assert redis_of_mine.pid in processes_in(redis_of_mine.folder)

    end(redis_of_mine)
    end(redis_of_mine)

    assert processes_in(redis_of_mine.folder) == []
    assert not redis_of_mine.is_running
    with pytest.raises(RuntimeError, match="not running"):
        redis_of_mine.pause()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, redis_of_mine.port), 1)


def test_a_redis_that_ended_by_itself_can_be_started_again(redis_of_mine: RedisServer) -> None:
    write(redis_of_mine, "1")
    os.kill(redis_of_mine.pid, signal.SIGKILL)
    wait_until(lambda: not redis_of_mine.is_running)

    redis_of_mine.start()

    assert read(redis_of_mine) == "1"


def test_a_running_server_is_not_started_twice(redis_of_mine: RedisServer) -> None:
    with pytest.raises(RuntimeError, match="running already"):
        redis_of_mine.start()

    assert read(redis_of_mine) is None


def test_a_failed_start_shows_what_the_server_said_and_leaves_nothing(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, options={"no-such-setting": "1"})

    with pytest.raises(ServerFailed, match=r"RedisServer ended with code 1:(?s:.*)no-such-setting"):
        server.start()
    assert processes_in(tmp_path) == []


def test_a_taken_port_is_named(tmp_path: Path, redis_of_mine: RedisServer) -> None:
    second = RedisServer(tmp_path / "second", port=redis_of_mine.port)

    with pytest.raises(ServerFailed, match=f"port {redis_of_mine.port} is taken"):
        second.start()


def test_a_missing_server_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServersMissing, match="install the package rabbitmq-server"):
        RabbitServer(tmp_path, executable=tmp_path / "rabbitmq-server")

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServersMissing, match="install the package redis-server"):
        RedisServer(tmp_path)


def test_valkey_stands_in_for_a_missing_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = RedisServer(tmp_path).executable
    (tmp_path / "valkey-server").symlink_to(installed)
    monkeypatch.setenv("PATH", f"{tmp_path}")

    with RedisServer(tmp_path / "server") as server:
        assert server.executable == tmp_path / "valkey-server"


def test_a_rabbit_listens_on_ports_and_settings_of_its_own(rabbit_of_mine: RabbitServer) -> None:
    assert rabbit_of_mine.ctl("eval", "application:get_env(rabbit, consumer_timeout).") == "{ok,123456}\n"
    assert rabbit_of_mine.ctl("eval", "os:getpid().") == f'"{rabbit_of_mine.pid}"\n'
    processes = processes_in(rabbit_of_mine.folder)
    assert are_private(processes)
    assert rabbit_of_mine.port in ports_of(processes)
    assert len(ports_of(processes)) == 3
    assert ports_of(processes).isdisjoint(DEFAULT_PORTS)


def test_a_failing_command_says_why(rabbit_of_mine: RabbitServer) -> None:
    with pytest.raises(ServerFailed, match=r"rabbitmqctl delete_queue failed:\n(?s:.*)not found"):
        rabbit_of_mine.ctl("delete_queue", "nowhere")


def test_a_rabbit_keeps_messages_until_it_is_wiped(rabbit_of_mine: RabbitServer) -> None:
    send(rabbit_of_mine, "before the kill")
    rabbit_of_mine.kill()
    rabbit_of_mine.start()
    assert receive(rabbit_of_mine) == "before the kill"

    send(rabbit_of_mine, "before the stop")
    rabbit_of_mine.stop()
    with RabbitServer(rabbit_of_mine.folder) as successor:
        assert successor.port != rabbit_of_mine.port
        assert receive(successor) == "before the stop"
        send(successor, "before the wipe")

    url = rabbit_of_mine.url
    rabbit_of_mine.wipe()
    rabbit_of_mine.start()
    assert rabbit_of_mine.ctl("list_queues", "name") == ""
    assert rabbit_of_mine.url == url


def test_a_paused_rabbit_greets_nobody_until_it_is_resumed(rabbit_of_mine: RabbitServer) -> None:
    rabbit_of_mine.pause()
    with socket.create_connection((HOST, rabbit_of_mine.port), 1) as connection:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        rabbit_of_mine.resume()
        connection.settimeout(PATIENCE)
        assert connection.recv(1) == b"\x01"


def test_two_rabbits_live_side_by_side_and_the_stopped_one_leaves_nothing(
    tmp_path: Path, rabbit_of_mine: RabbitServer
) -> None:
    with RabbitServer(tmp_path) as second:
        send(second, "for the second")
        assert rabbit_of_mine.ctl("list_queues", "name") == ""
    wait_until(lambda: processes_in(tmp_path) == [])

    send(rabbit_of_mine, "for the first")
    assert receive(rabbit_of_mine) == "for the first"


@pytest.mark.parametrize("kind", ["redis", "rabbit"])
def test_nothing_is_left_when_the_python_that_started_a_server_is_killed(
    kind: str, tmp_path: Path, start_process: Callable[[str, Path], subprocess.Popen[str]]
) -> None:
    starter = start_process(kind, tmp_path)
    assert starter.stdout is not None
    assert starter.stdout.readline() == "started\n"
    assert len(processes_in(tmp_path)) >= 2

    starter.kill()

    wait_until(lambda: processes_in(tmp_path) == [])


def test_nothing_is_left_when_the_python_is_killed_while_it_starts_a_server(
    tmp_path: Path, start_process: Callable[[str, Path], subprocess.Popen[str]]
) -> None:
    starter = start_process("rabbit", tmp_path)
    wait_until(lambda: len(processes_in(tmp_path)) >= 3)

    starter.kill()

    wait_until(lambda: processes_in(tmp_path) == [])


def client_of(server: RedisServer, **options: float) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True, retry=None, **options)


def write(server: RedisServer, value: str) -> None:
    with client_of(server) as client:
        client.set("key", value)


def read(server: RedisServer) -> str | None:
    with client_of(server) as client:
        return client.get("key")


def send(server: RabbitServer, message: str) -> None:
    """Return when the broker has confirmed the message, in a durable queue."""
    with (
        kombu.Connection(server.url, transport_options={"confirm_publish": True}) as connection,
        connection.SimpleQueue("queue") as queue,
    ):
        queue.put(message)


def receive(server: RabbitServer) -> object:
    """Return the message in the queue, which is deleted."""
    with kombu.Connection(server.url) as connection, connection.channel() as channel:
        message = channel.basic_get("queue", no_ack=True)
        channel.queue_delete("queue")
        return message and message.body


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
