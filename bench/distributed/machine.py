"""The two servers that all contenders share, and how they are made clean between them."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kombu import Connection
from redis import Redis

from encola.testing.servers import RabbitServer, RedisServer

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-bench" / "bin"
CLEAN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Machine:
    """A Redis and a RabbitMQ of our own, and a folder for logs."""

    folder: Path
    redis_url: str
    amqp_url: str
    redis: "Redis[bytes]"

    @property
    def environment(self) -> dict[str, str]:
        """Return what the peers' modules read."""
        return {"BENCH_REDIS_URL": self.redis_url, "BENCH_AMQP_URL": self.amqp_url}

    def place(self, name: str) -> Path:
        """Return a folder of this name."""
        place = self.folder / name
        place.mkdir(exist_ok=True)
        return place

    def versions(self) -> dict[str, str]:
        """Return what the servers say they are."""
        with Connection(self.amqp_url) as connection:
            rabbit = connection.connection.server_properties["version"]
        return {"Redis": self.redis.info("server")["redis_version"], "RabbitMQ": rabbit}

    def consumers_of(self, queue: str) -> int:
        """Return how many consumers RabbitMQ serves at this queue; 0 when there is no queue."""
        with Connection(self.amqp_url) as connection:
            channel = connection.channel()
            try:
                return int(channel.queue_declare(queue, passive=True).consumer_count)
            except connection.channel_errors:
                return 0

    def clean(self, queues: Sequence[str]) -> None:
        """Leave nothing of the last contender to the next one."""
        with Connection(self.amqp_url) as connection:
            for queue in queues:
                connection.channel().queue_delete(queue)
        self.redis.flushall()
        self.redis.bgrewriteaof()
        deadline = time.monotonic() + CLEAN_SECONDS
        while self.redis.info("persistence")["aof_rewrite_in_progress"]:
            if time.monotonic() > deadline:
                raise RuntimeError("Redis does not finish rewriting its file")
            time.sleep(0.05)


@contextmanager
def started() -> Iterator[Machine]:
    """Start the servers for as long as the context lasts.

    Redis writes every command to its file and lets the system choose when that reaches the disk
    (``everysec``, Redis's default with a file); RabbitMQ is as installed.
    """
    with tempfile.TemporaryDirectory(prefix="encola-bench-") as name:
        folder = Path(name)
        # A file rewritten in the middle of a measurement would be charged to whoever is measured then.
        options = {"auto-aof-rewrite-percentage": "0"}
        with (
            RedisServer(folder / "redis", fsync="everysec", options=options) as redis,
            RabbitServer(folder / "rabbit") as rabbit,
            Redis.from_url(redis.url) as client,
        ):
            yield Machine(folder, redis.url, rabbit.url, client)
