"""What the doctor finds of real Redis, RabbitMQ and PostgreSQL servers in good and bad states."""

import asyncio
import json
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import aiormq
import pytest
from commands import encola
from postgresql import PrivatePostgresql, find_binaries
from redis import Redis
from redis_clusters import start_cluster

from encola.entrypoints.cli import distributed_checks
from encola.entrypoints.settings import Settings
from encola.testing.loopback import free_ports
from encola.testing.servers import RabbitServer, RedisServer

USER = "margaret"
PASSWORD = "hunter2-and-a-half"
SECONDS = 30.0
Doctor = Callable[..., dict[str, dict[str, str]]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a certificate of this machine that vouches for itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*command.split(), *names], cwd=folder, check=True, capture_output=True)
    (folder / "key.pem").chmod(0o644)
    return folder


@pytest.fixture(scope="module")
def tls_ports() -> tuple[int, int]:
    """Return where Redis and RabbitMQ speak TLS."""
    redis, rabbit = free_ports(2)
    return redis, rabbit


@pytest.fixture(scope="module")
def redis_server(
    tmp_path_factory: pytest.TempPathFactory, authority: Path, tls_ports: tuple[int, int]
) -> Iterator[RedisServer]:
    """Return a running Redis."""
    tls = {
        "tls-port": str(tls_ports[0]),
        "tls-cert-file": str(authority / "cert.pem"),
        "tls-key-file": str(authority / "key.pem"),
        "tls-ca-cert-file": str(authority / "cert.pem"),
        "tls-auth-clients": "no",
    }
    with RedisServer(tmp_path_factory.mktemp("redis"), options=tls) as server:
        yield server


@pytest.fixture(scope="module")
def rabbit_server(
    tmp_path_factory: pytest.TempPathFactory, authority: Path, tls_ports: tuple[int, int]
) -> Iterator[RabbitServer]:
    """Return a running RabbitMQ."""
    tls = {
        "listeners.ssl.1": f"127.0.0.1:{tls_ports[1]}",
        "ssl_options.certfile": str(authority / "cert.pem"),
        "ssl_options.keyfile": str(authority / "key.pem"),
        "ssl_options.cacertfile": str(authority / "cert.pem"),
        "ssl_options.verify": "verify_none",
    }
    with RabbitServer(tmp_path_factory.mktemp("rabbitmq"), options=tls) as server:
        yield server


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    """Return a client of Redis, which afterwards is as it was, and empty."""
    with Redis.from_url(redis_server.url, decode_responses=True) as client:
        before = client.config_get("appendonly", "appendfsync", "maxmemory", "maxmemory-policy")
        yield client
        for name, value in before.items():
            client.config_set(name, value)
        client.acl_deluser(USER)
        client.flushall()


@pytest.fixture
def rabbit_user(rabbit_server: RabbitServer) -> Iterator[Callable[..., str]]:
    """Return a function that gives a user these permissions and returns the URL to log in with."""
    rabbit_server.ctl("add_user", USER, PASSWORD)

    def allow(configure: str, write: str, read: str) -> str:
        rabbit_server.ctl("set_permissions", USER, configure, write, read)
        return rabbit_server.url.replace("guest:guest", f"{USER}:{PASSWORD}")

    yield allow
    rabbit_server.ctl("delete_user", USER)


@pytest.fixture
def doctor(redis_server: RedisServer, rabbit_server: RabbitServer) -> Doctor:
    """Return a function that runs ``encola doctor`` and returns its rows by name.

    Keywords are settings. Whatever the state is, it ends soon, names a fix, and gives no secret away.
    """

    def run(**settings: str) -> dict[str, dict[str, str]]:
        urls = {"redis_url": redis_server.url, "amqp_url": rabbit_server.url}
        started = time.monotonic()
        outcome = encola("doctor", "--json", **variables(**urls | settings))

        assert time.monotonic() - started < SECONDS
        assert outcome.stderr == ""
        assert PASSWORD not in outcome.stdout
        assert USER not in outcome.stdout
        rows = json.loads(outcome.stdout)
        assert outcome.returncode == (1 if any(row["status"] == "fail" for row in rows) else 0)
        assert all(row["fix"] for row in rows if row["status"] != "ok")
        return {row["name"]: row for row in rows}

    return run


def variables(**settings: str) -> dict[str, str]:
    """Return the environment of the distributed profile with these settings."""
    chosen = {f"ENCOLA_{name.upper()}": value for name, value in settings.items()}
    return {"ENCOLA_PROFILE": "distributed", "ENCOLA_PORT": "0", **chosen}


def follow(fix: str, client: Redis) -> None:
    """Do in Redis what the doctor says."""
    words = shlex.split(fix.partition(",")[0].replace("<user>", USER))
    assert words[0] == "redis-cli"
    client.execute_command(*words[1:])


def test_two_servers_that_are_well_pass_and_nothing_is_left_in_them(
    doctor: Doctor, redis: Redis, rabbit_server: RabbitServer
) -> None:
    rows = doctor()

    assert {row["status"] for row in rows.values()} == {"ok"}
    assert rows["redis"]["message"].startswith(("Redis ", "Valkey "))
    assert "RabbitMQ " in rows["rabbitmq"]["message"]
    assert "celery 5.7" in rows["packages"]["message"]
    assert redis.keys() == []
    assert rabbit_server.ctl("list_queues", "name").split() == []


def test_people_read_one_line_a_finding(redis_server: RedisServer, rabbit_server: RabbitServer) -> None:
    settings = variables(redis_url=redis_server.url, amqp_url=rabbit_server.url, early_ack_seconds="3600")

    outcome = encola("doctor", **settings)

    assert outcome.returncode == 0
    lines = [line for line in outcome.stdout.splitlines() if line.startswith("warn")]
    assert len(lines) == 1
    assert "rabbitmq consumer_timeout" in lines[0]
    assert "consumer_timeout = 3660000" in lines[0]


@pytest.mark.parametrize(
    ("name", "value", "row", "verdict"),
    [
        ("appendonly", "no", "redis persistence", "fail"),
        ("appendfsync", "no", "redis persistence", "warn"),
        ("maxmemory-policy", "allkeys-lru", "redis eviction", "fail"),
        ("maxmemory-policy", "volatile-ttl", "redis eviction", "fail"),
    ],
)
def test_a_redis_that_could_lose_jobs_is_found_and_the_fix_cures_it(
    name: str, value: str, row: str, verdict: str, doctor: Doctor, redis: Redis
) -> None:
    redis.config_set(name, value)

    ill = doctor()[row]
    follow(ill["fix"], redis)
    cured = doctor()[row]

    assert ill["status"] == verdict
    assert name in ill["message"]
    assert cured["status"] == "ok"


def test_what_everysec_may_lose_is_said(doctor: Doctor, redis: Redis) -> None:
    redis.config_set("appendfsync", "everysec")

    row = doctor()["redis persistence"]

    assert row["status"] == "ok"
    assert "last second" in row["message"]


def test_a_redis_user_who_may_too_little_is_told_what_and_the_fix_gives_exactly_that(
    doctor: Doctor, redis: Redis, redis_server: RedisServer
) -> None:
    redis.execute_command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", "~encola:*", "+@all", "-hset")
    url = redis_server.url.replace("//", f"//{USER}:{PASSWORD}@")

    ill = doctor(redis_url=url)["redis permissions"]
    redis.execute_command("ACL", "SETUSER", USER, "resetkeys", "resetchannels", "-@all")
    worse = doctor(redis_url=url)
    follow(worse["redis permissions"]["fix"], redis)
    cured = doctor(redis_url=url)

    assert ill["status"] == "fail"
    assert "HSET, PUBLISH, SUBSCRIBE" in ill["message"]
    assert worse["redis permissions"]["status"] == "fail"
    assert worse["redis persistence"]["status"] == "warn"
    assert {row["status"] for row in cured.values()} == {"ok"}
    assert redis.keys() == []


def test_where_redis_hides_its_configuration_that_is_a_warning(
    doctor: Doctor, redis: Redis, redis_server: RedisServer
) -> None:
    redis.execute_command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", "~*", "&*", "+@all", "-config")

    rows = doctor(redis_url=redis_server.url.replace("//", f"//{USER}:{PASSWORD}@"))

    assert rows["redis persistence"]["status"] == "warn"
    assert "cannot be read" in rows["redis persistence"]["message"]
    assert rows["redis eviction"]["status"] == "ok"


def test_a_redis_without_memory_is_a_failure(doctor: Doctor, redis: Redis) -> None:
    redis.config_set("maxmemory", "1")

    row = doctor()["redis"]

    assert row["status"] == "fail"
    assert "maxmemory" in row["fix"]


def test_a_replica_is_a_failure(doctor: Doctor, redis: Redis) -> None:
    redis.replicaof("127.0.0.1", 1)
    try:
        row = doctor()["redis"]
    finally:
        redis.replicaof("NO", "ONE")

    assert row["status"] == "fail"
    assert "primary" in row["fix"]


def test_a_clock_that_is_off_by_a_third_of_a_lease_is_a_failure(doctor: Doctor) -> None:
    row = doctor(lease_seconds="1e-9")["redis clock"]

    assert row["status"] == "fail"
    assert "NTP" in row["fix"]


def test_every_node_of_a_cluster_that_keeps_a_shard_is_examined(tmp_path: Path) -> None:
    nodes = start_cluster(tmp_path, 2)
    try:
        with Redis.from_url(nodes[1].url) as client:
            client.config_set("appendonly", "no")
        outcome = encola("doctor", "--json", **variables(redis_url=nodes[0].url, redis_shards="8"))
    finally:
        for node in nodes:
            node.kill()

    rows = json.loads(outcome.stdout)
    assert {row["message"].rpartition(" ")[2] for row in rows if row["name"] == "redis"} == {
        f"127.0.0.1:{node.port}" for node in nodes
    }
    assert sorted(row["status"] for row in rows if row["name"] == "redis persistence") == ["fail", "ok"]


class Pretender(StreamRequestHandler):
    """Tells about itself what its server was given, and refuses all else."""

    server: "PretendedRedis"

    def handle(self) -> None:
        while count := self.rfile.readline()[1:]:
            command = [self.rfile.read(int(self.rfile.readline()[1:]) + 2)[:-2] for _ in range(int(count))]
            told = "\r\n".join(self.server.info).encode()
            answer = b"$%d\r\n%b\r\n" % (len(told), told) if command[0] == b"INFO" else b"-ERR no\r\n"
            self.wfile.write(b":0\r\n" if command[0] == b"EXISTS" else answer)


class PretendedRedis(ThreadingTCPServer):
    daemon_threads = True
    info: tuple[str, ...] = ()


class Stranger(StreamRequestHandler):
    """Speaks HTTP, whatever it is asked."""

    def handle(self) -> None:
        self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


@contextmanager
def pretended_redis(*info: str) -> Iterator[str]:
    """Serve something that says this about itself; yield its URL."""
    with PretendedRedis(("127.0.0.1", 0), Pretender) as server, serving(server):
        server.info = info
        yield f"redis://127.0.0.1:{server.server_address[1]}/0"


@contextmanager
def serving(server: ThreadingTCPServer) -> Iterator[None]:
    """Serve beside what the context does."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield
    server.shutdown()
    thread.join()


def test_a_redis_before_7_is_too_old(doctor: Doctor) -> None:
    with pretended_redis("redis_version:6.2.14") as url:
        row = doctor(redis_url=url)["redis"]

    assert row["status"] == "fail"
    assert "too old" in row["message"]
    assert "Redis 7" in row["fix"]


def test_valkey_is_known_by_its_own_name_and_version(doctor: Doctor) -> None:
    with pretended_redis("redis_version:7.2.4", "server_name:valkey", "valkey_version:8.1.1") as url:
        row = doctor(redis_url=url)["redis"]

    assert row["status"] == "ok"
    assert row["message"].startswith("Valkey 8.1.1 ")


def test_the_virtual_host_the_password_and_the_port_must_be_right(
    doctor: Doctor, redis_server: RedisServer, rabbit_server: RabbitServer
) -> None:
    assert "virtual host" in failure(doctor(amqp_url=f"{rabbit_server.url}nowhere"), "rabbitmq")
    wrong = rabbit_server.url.replace("guest:guest", f"guest:{PASSWORD}")
    assert "password" in failure(doctor(amqp_url=wrong), "rabbitmq")
    assert "ENCOLA_AMQP_URL" in failure(doctor(amqp_url=f"amqp://{USER}:{PASSWORD}@127.0.0.1:1"), "rabbitmq")

    wrong = redis_server.url.replace("//", f"//:{PASSWORD}@")
    assert "password" in failure(doctor(redis_url=wrong), "redis")
    assert "ENCOLA_REDIS_URL" in failure(doctor(redis_url=f"redis://{USER}:{PASSWORD}@127.0.0.1:1"), "redis")


def test_a_port_that_another_program_has_is_a_failure(doctor: Doctor) -> None:
    with ThreadingTCPServer(("127.0.0.1", 0), Stranger) as server, serving(server):
        place = f"127.0.0.1:{server.server_address[1]}"
        rows = doctor(redis_url=f"redis://{place}", amqp_url=f"amqp://{place}")

    assert "ENCOLA_REDIS_URL" in failure(rows, "redis")
    assert "ENCOLA_AMQP_URL" in failure(rows, "rabbitmq")


def failure(rows: dict[str, dict[str, str]], name: str) -> str:
    """Return the fix of a row that has failed."""
    assert rows[name]["status"] == "fail"
    return rows[name]["fix"]


@pytest.mark.parametrize("password", ["a/b", "1/2", "a?b", "a#b", "a]b"])
def test_a_password_that_nobody_escaped_is_not_shown_piecemeal(password: str, doctor: Doctor) -> None:
    rows = doctor(
        redis_url=f"redis://{USER}:{PASSWORD}{password}@localhost:1/0",
        amqp_url=f"amqp://{USER}:{PASSWORD}{password}@localhost:1/",
    )

    assert rows["redis"]["status"] == rows["rabbitmq"]["status"] == "fail"
    assert {row for row in rows if rows[row]["status"] == "fail"} == {"redis", "rabbitmq"}


def test_servers_that_hang_are_failures_in_good_time(
    doctor: Doctor, redis_server: RedisServer, rabbit_server: RabbitServer
) -> None:
    redis_server.pause()
    rabbit_server.pause()
    try:
        rows = doctor()
    finally:
        redis_server.resume()
        rabbit_server.resume()

    assert "does not answer" in rows["redis"]["message"]
    assert "does not answer" in rows["rabbitmq"]["message"]
    assert rows["redis"]["status"] == rows["rabbitmq"]["status"] == "fail"


def test_tls_is_spoken_with_an_authority_that_the_url_names_and_no_other(
    doctor: Doctor, authority: Path, tls_ports: tuple[int, int]
) -> None:
    redis_url, amqp_url = (
        f"rediss://127.0.0.1:{tls_ports[0]}/0",
        f"amqps://guest:guest@127.0.0.1:{tls_ports[1]}/",
    )
    certificate = authority / "cert.pem"

    strangers = doctor(redis_url=redis_url, amqp_url=amqp_url)
    friends = doctor(
        redis_url=f"{redis_url}?ssl_ca_certs={certificate}", amqp_url=f"{amqp_url}?cafile={certificate}"
    )

    assert "ssl_ca_certs" in failure(strangers, "redis")
    assert "cafile" in failure(strangers, "rabbitmq")
    assert {row["status"] for row in friends.values()} == {"ok"}


@pytest.mark.parametrize(
    ("permissions", "doing"),
    [
        (("^$", "^$", "^$"), "declare queues"),
        (("^encola", "^$", "^$"), "publish"),
        (("^encola", ".*", "^$"), "consume"),
    ],
)
def test_a_rabbitmq_user_who_may_too_little_is_told_what(
    permissions: tuple[str, str, str], doing: str, doctor: Doctor, rabbit_user: Callable[..., str]
) -> None:
    row = doctor(amqp_url=rabbit_user(*permissions))["rabbitmq delivery"]

    assert row["status"] == "fail"
    assert doing in row["message"]
    assert "set_permissions" in row["fix"]


def test_an_alarm_is_found_before_it_holds_jobs_up(doctor: Doctor, rabbit_server: RabbitServer) -> None:
    rabbit_server.ctl("set_vm_memory_high_watermark", "0.00001")
    try:
        row = doctor()["rabbitmq delivery"]
    finally:
        rabbit_server.ctl("set_vm_memory_high_watermark", "0.6")

    assert row["status"] == "fail"
    assert "alarm" in row["message"]


def test_queues_of_the_other_type_are_found_and_those_of_the_right_one_left_alone(
    doctor: Doctor, rabbit_server: RabbitServer
) -> None:
    asyncio.run(
        declare(rabbit_server.url, "agent_tasks", {"x-queue-type": "quorum", "x-delivery-limit": 100})
    )
    try:
        classic, quorum = doctor()["rabbitmq queues"], doctor(queue_type="quorum")["rabbitmq queues"]
        queues = rabbit_server.ctl("list_queues", "name").split()
    finally:
        rabbit_server.ctl("delete_queue", "agent_tasks")

    assert classic["status"] == "fail"
    assert "agent_tasks" in classic["message"]
    assert "ENCOLA_QUEUE_TYPE" in classic["fix"]
    assert quorum["status"] == "ok"
    assert queues == ["agent_tasks"]


async def declare(url: str, queue: str, arguments: dict[str, Any]) -> None:
    """Make a queue."""
    connection = await aiormq.connect(url)
    channel = await connection.channel()
    await channel.queue_declare(queue, durable=True, arguments=arguments)
    await connection.close()


def test_a_connection_without_heartbeats_is_a_warning(doctor: Doctor, rabbit_server: RabbitServer) -> None:
    row = doctor(amqp_url=f"{rabbit_server.url}?heartbeat=0")["rabbitmq heartbeat"]

    assert row["status"] == "warn"
    assert "heartbeat" in row["fix"]


def test_both_urls_are_needed() -> None:
    outcome = encola("doctor", "--json", **variables())

    rows = {row["name"]: row for row in json.loads(outcome.stdout)}
    assert rows["profile"]["status"] == "fail"
    assert "ENCOLA_REDIS_URL and ENCOLA_AMQP_URL" in rows["profile"]["fix"]


def test_missing_packages_are_named_with_the_extra_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(distributed_checks, "version", version)
    settings = Settings(profile="distributed", amqp_url="amqp://127.0.0.1:1", history_url="postgresql://h")

    [finding] = distributed_checks.examine_distributed(settings)

    assert finding.status == "fail"
    assert "celery" in finding.message
    assert finding.fix == "pip install 'encola[distributed,postgresql]'"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PrivatePostgresql]:
    """Return a running PostgreSQL."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed on this machine")
    server = PrivatePostgresql(binaries)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def test_the_history_must_be_there_and_take_writes(doctor: Doctor, postgresql: PrivatePostgresql) -> None:
    well = doctor(history_url=postgresql.url)["history"]
    read_only = doctor(history_url=f"{postgresql.url}?options=-cdefault_transaction_read_only%3Don")
    away = f"postgresql+psycopg://{USER}:{PASSWORD}@127.0.0.1:1/history"

    assert well["status"] == "ok"
    assert "primary" in failure(read_only, "history")
    assert "ENCOLA_HISTORY_URL" in failure(doctor(history_url=away), "history")
    assert "postgresql+psycopg" in failure(doctor(history_url="mysql://somewhere"), "history")
