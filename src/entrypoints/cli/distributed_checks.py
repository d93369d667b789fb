"""What ``encola doctor`` looks at on the distributed profile: packages and servers, each with a deadline."""

import asyncio
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

from pydantic import SecretStr

from encola.entrypoints.cli.findings import Finding
from encola.entrypoints.settings import Settings

CELERY_SERIES = "5.7."
SHIPPED_QUEUES = ("agent_tasks", "embedding_tasks", "query_tasks")


def examine_distributed(settings: Settings) -> Iterator[Finding]:
    """Yield the findings; the servers are asked side by side, when there are the packages for it."""
    found = packages(settings)
    yield found
    if found.status != "fail":
        yield from asyncio.run(_servers(settings))


def packages(settings: Settings) -> Finding:
    """Say whether the packages of the extras are there."""
    wanted = ["celery", "redis", "hiredis", "aio-pika", "aiormq"]
    extras = "distributed"
    if settings.history_url is not None:
        wanted, extras = [*wanted, "psycopg"], "distributed,postgresql"
    fix = f"pip install 'encola[{extras}]'"
    versions = {name: _installed(name) for name in wanted}
    missing = [name for name, found in versions.items() if found is None]
    if missing:
        message = f"not installed: {', '.join(missing)}"
        return Finding(name="packages", status="fail", message=message, fix=fix)
    if not str(versions["celery"]).startswith(CELERY_SERIES):
        message = f"Celery {versions['celery']} is not of the series {CELERY_SERIES}x"
        return Finding(name="packages", status="fail", message=message, fix=fix)
    shown = ", ".join(f"{name} {found}" for name, found in versions.items())
    return Finding(name="packages", status="ok", message=shown)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


async def _servers(settings: Settings) -> Sequence[Finding]:
    # What is left of a connection that was given up would report itself on stderr, with the user's name.
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    examined = await asyncio.gather(_redis(settings), _rabbitmq(settings), _history(settings))
    return [finding for findings in examined for finding in findings]


async def _redis(settings: Settings) -> list[Finding]:
    from encola.entrypoints.cli.redis_checks import examine_redis

    if settings.redis_url is None:
        return []
    url = _spelt(settings.redis_url)
    return await examine_redis(url, shards=settings.redis_shards, lease_seconds=settings.lease_seconds)


async def _rabbitmq(settings: Settings) -> list[Finding]:
    from encola.entrypoints.cli.rabbitmq_checks import examine_rabbitmq

    if settings.amqp_url is None:
        return []
    return await examine_rabbitmq(
        _spelt(settings.amqp_url),
        queue_type=settings.queue_type,
        queues=tuple(dict.fromkeys((*SHIPPED_QUEUES, *settings.queues))),
        early_ack_seconds=settings.early_ack_seconds,
    )


async def _history(settings: Settings) -> list[Finding]:
    if settings.history_url is None:
        return []
    from encola.entrypoints.cli.history_checks import examine_history

    return await examine_history(_spelt(settings.history_url))


def _spelt(url: SecretStr) -> str:
    return url.get_secret_value()
