"""What ``encola doctor`` asks Redis."""

import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Mapping
from typing import Any, Final

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    InvalidResponse,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from encola.entrypoints.cli.findings import Finding
from encola.entrypoints.cli.redis_permissions import permissions, probe_key
from encola.entrypoints.cli.troubles import Trouble, examined

ANSWER_SECONDS: Final = 2.0
ALL_ANSWERS_SECONDS: Final = 10.0
OLDEST_REDIS: Final = 7
SKEW_SECONDS: Final = 1.0
SAMPLES: Final = 3

_UNREACHABLE: Final = ("cannot be reached", "start it, or correct ENCOLA_REDIS_URL")
_SILENT: Final = (
    f"does not answer within {ANSWER_SECONDS:.0f} s",
    "see whether it is stopped, overloaded or without the TLS of rediss://, or correct ENCOLA_REDIS_URL",
)
_TROUBLES: Final = (
    Trouble(
        AuthenticationError,
        "refuses the user or the password",
        "correct the user and the password in ENCOLA_REDIS_URL",
    ),
    Trouble(BusyLoadingError, "is still reading its data", "wait until it has"),
    Trouble(ReadOnlyError, "is a replica, which takes no writes", "name the primary in ENCOLA_REDIS_URL"),
    Trouble(
        OutOfMemoryError,
        "has no memory left for another job",
        "redis-cli CONFIG SET maxmemory <more bytes>, and the same in redis.conf",
    ),
    Trouble(
        ssl.SSLError,
        "speaks no TLS, or has a certificate that is not trusted",
        "correct ENCOLA_REDIS_URL (rediss:// is TLS), or name the authority there by ?ssl_ca_certs=<file>",
    ),
    Trouble(RedisTimeoutError, *_SILENT),
    Trouble(TimeoutError, *_SILENT),
    Trouble(RedisConnectionError, *_UNREACHABLE),
    Trouble(OSError, *_UNREACHABLE),
    Trouble(InvalidResponse, "is not Redis, or not at this port", "correct ENCOLA_REDIS_URL"),
    Trouble(
        RedisError,
        "refuses to work",
        "read its log; correct the number of the database in ENCOLA_REDIS_URL if it has none of it",
    ),
    Trouble(
        ValueError,
        "is no URL of Redis",
        "set ENCOLA_REDIS_URL like redis://<host>:6379/0, or rediss:// for TLS",
    ),
)

_APPENDONLY_FIX: Final = "redis-cli CONFIG SET appendonly yes, and the same in redis.conf"
_APPENDFSYNC_FIX: Final = "redis-cli CONFIG SET appendfsync everysec, and the same in redis.conf"
_NOEVICTION_FIX: Final = "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf"


async def examine_redis(url: str, *, shards: int, lease_seconds: float) -> list[Finding]:
    """Return what is found of Redis, or of each node of a Redis Cluster that keeps one of the shards."""
    questions = _questions(url, shards, lease_seconds)
    return await examined("redis", url, questions, _TROUBLES, seconds=ALL_ANSWERS_SECONDS)


async def _questions(url: str, shards: int, lease_seconds: float) -> AsyncGenerator[Finding, None]:
    for address, shard in (await _nodes(url, shards)).items():
        async with _client(url, address) as node:
            info = await _told(node.info())
            config = await _told(node.config_get("appendonly", "appendfsync", "maxmemory-policy"))
            yield _version(node, info)
            yield await permissions(node, shard)
            yield _persistence(info, config)
            yield _eviction(info, config)
            yield await _clock(node, lease_seconds)


async def _nodes(url: str, shards: int) -> dict[tuple[str, int] | None, int]:
    """Return where our shards are, each place with the first of them; ``None`` is where the URL leads."""
    places: dict[tuple[str, int] | None, int] = {}
    async with _client(url) as client:
        for shard in range(shards):
            try:
                await client.exists(probe_key(shard))
            except MovedError as moved:
                places.setdefault((moved.host, moved.port), shard)
            except NoPermissionError:
                places.setdefault(None, shard)
            else:
                places.setdefault(None, shard)
    return places


def _client(url: str, address: tuple[str, int] | None = None) -> Redis:
    pool: ConnectionPool = ConnectionPool.from_url(
        url,
        decode_responses=True,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=ANSWER_SECONDS,
        socket_timeout=ANSWER_SECONDS,
    )
    if address is not None:
        pool.connection_kwargs.update(host=address[0], port=address[1])
    return Redis.from_pool(pool)


async def _told(answer: Awaitable[Mapping[Any, Any]]) -> Mapping[str, Any]:
    """Return what the server tells about itself; nothing where it may not, as where Redis is rented."""
    try:
        return await answer
    except ResponseError:
        return {}


def _version(node: Redis, info: Mapping[str, Any]) -> Finding:
    place = _place(node)
    if "redis_version" not in info:
        return Finding(
            name="redis",
            status="warn",
            message=f"{place} does not tell its version",
            fix="allow +info, or see that it is Redis 7 or Valkey",
        )
    spoken = str(info["redis_version"])  # Valkey too says which Redis it is like
    kind, version = ("Valkey", info["valkey_version"]) if "valkey_version" in info else ("Redis", spoken)
    if int(spoken.split(".", maxsplit=1)[0]) < OLDEST_REDIS:
        return Finding(
            name="redis",
            status="fail",
            message=f"{place} is {kind} {version}, which is too old",
            fix="install Redis 7 or later, or Valkey",
        )
    return Finding(name="redis", status="ok", message=f"{kind} {version} at {place}")


def _persistence(info: Mapping[str, Any], config: Mapping[str, Any]) -> Finding:
    name = "redis persistence"
    if config.get("appendonly") == "no" or info.get("aof_enabled") == 0:
        message = "appendonly is off: a restart loses jobs"
        return Finding(name=name, status="fail", message=message, fix=_APPENDONLY_FIX)
    if info.get("aof_last_write_status", "ok") != "ok":
        message = "it cannot write its append-only file"
        return Finding(
            name=name, status="fail", message=message, fix="make room on its disk; its log says more"
        )
    if "appendonly" not in config and "aof_enabled" not in info:
        message = "appendonly cannot be read here"
        return Finding(name=name, status="warn", message=message, fix="see where it is run that it is on")
    match config.get("appendfsync"):
        case "always":
            return Finding(name=name, status="ok", message="appendonly, every write is on disk")
        case "everysec":
            message = "appendonly; a crash of its machine may lose up to the last second"
            return Finding(name=name, status="ok", message=message)
        case None:
            message = "appendonly is on, but appendfsync cannot be read here"
            fix = "see where it is run that it is everysec or always"
            return Finding(name=name, status="warn", message=message, fix=fix)
        case other:
            message = f"appendfsync is {other}: a crash of its machine may lose half a minute"
            return Finding(name=name, status="warn", message=message, fix=_APPENDFSYNC_FIX)


def _eviction(info: Mapping[str, Any], config: Mapping[str, Any]) -> Finding:
    policy = config.get("maxmemory-policy") or info.get("maxmemory_policy")
    if policy is None:
        message, fix = "maxmemory-policy cannot be read here", "see where it is run that it is noeviction"
        return Finding(name="redis eviction", status="warn", message=message, fix=fix)
    if policy != "noeviction":
        message = f"maxmemory-policy is {policy}: it drops jobs when memory is short"
        return Finding(name="redis eviction", status="fail", message=message, fix=_NOEVICTION_FIX)
    return Finding(name="redis eviction", status="ok", message="noeviction")


async def _clock(node: Redis, lease_seconds: float) -> Finding:
    try:
        skew = min([await _skew(node) for _ in range(SAMPLES)], key=abs)
    except ResponseError:
        return Finding(name="redis clock", status="warn", message="cannot be read here", fix="allow +time")
    fix = "set the clocks of both machines by NTP"
    if abs(skew) > lease_seconds / 3:
        message = f"differs from ours by {skew:+.3g} s, more than a third of a lease ({lease_seconds:g} s)"
        return Finding(name="redis clock", status="fail", message=message, fix=fix)
    if abs(skew) > SKEW_SECONDS:
        message = f"differs from ours by {skew:+.3g} s"
        return Finding(name="redis clock", status="warn", message=message, fix=fix)
    return Finding(name="redis clock", status="ok", message=f"within {SKEW_SECONDS:g} s of ours")


async def _skew(node: Redis) -> float:
    """Return how many seconds their clock is ahead, as if the answer took as long as the question."""
    asked = time.time()
    seconds, microseconds = await node.time()
    answered = time.time()
    return float(seconds) + float(microseconds) / 1e6 - (asked + answered) / 2


def _place(node: Redis) -> str:
    options = node.connection_pool.connection_kwargs
    if "path" in options:
        return str(options["path"])
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
