"""The distributed profile: state in Redis, jobs carried by RabbitMQ, workers on Celery."""

import asyncio
from collections.abc import Sequence

import httpx
from dependency_injector import containers, providers
from pydantic import SecretStr

from encola.adapters.celery import CeleryJobQueue, CeleryWorker
from encola.adapters.redis import (
    RedisCache,
    RedisJobCatalog,
    RedisJobFeed,
    RedisJobOutputs,
    RedisJobStore,
    RedisLinks,
    RedisNotifier,
    RedisStopSignals,
    RedisWorkBoard,
)
from encola.adapters.sql import SqlDatabase, SqlJobHistory
from encola.application.handlers import HandlerRegistry
from encola.application.ports import JobHistory
from encola.application.suspects import Suspects
from encola.domain.errors import InvalidSettings
from encola.entrypoints.blocking_worker import ThreadedWorker
from encola.entrypoints.container import Container, Provided, Step, in_seconds
from encola.entrypoints.settings import Settings

SUSPECTS_AT_ONCE = 1


def _spelt(url: SecretStr) -> str:
    return url.get_secret_value()


def _history_database(settings: Settings) -> SqlDatabase | None:
    return None if settings.history_url is None else SqlDatabase(settings.history_url.get_secret_value())


def _own_history(database: SqlDatabase | None) -> JobHistory | None:
    return None if database is None else SqlJobHistory(database)


def _feeds(links: RedisLinks) -> list[RedisJobFeed]:
    return [RedisJobFeed(link, keys) for link, keys in links.all()]


def _feed_kept(histories: Sequence[str]) -> int:
    """Return how long the feed may grow: nobody reads it where no history is kept."""
    return 1_000_000 if histories else 1_000


def _queues(settings: Settings, handlers: HandlerRegistry) -> tuple[str, ...]:
    return settings.queues or handlers.queues


def _openers(
    database: SqlDatabase | None,
    links: RedisLinks,
    notifier: RedisNotifier,
    stops: RedisStopSignals,
    queue: CeleryJobQueue,
) -> list[Step]:
    kept: list[Step] = [] if database is None else [database.open]
    return [*kept, links.open, notifier.open, stops.open, queue.open]


def _closers(
    database: SqlDatabase | None,
    links: RedisLinks,
    notifier: RedisNotifier,
    stops: RedisStopSignals,
    queue: CeleryJobQueue,
    client: httpx.AsyncClient,
) -> list[Step]:
    kept: list[Step] = [] if database is None else [database.close]
    return [queue.close, stops.close, notifier.close, client.aclose, links.close, *kept]


class DistributedParts(containers.DeclarativeContainer):
    """What takes the place of the embedded parts, under the same names."""

    settings = providers.Dependency(instance_of=Settings)
    handlers = providers.Dependency(instance_of=HandlerRegistry)
    histories: Provided = providers.Dependency()
    run_job: Provided = providers.Dependency()
    http_client: Provided = providers.Dependency()

    lease = providers.Callable(in_seconds, settings.provided.lease_seconds)
    redis_url = providers.Callable(_spelt, settings.provided.redis_url)
    amqp_url = providers.Callable(_spelt, settings.provided.amqp_url)

    links = providers.Singleton(RedisLinks, redis_url, shards=settings.provided.redis_shards)
    notifier = providers.Singleton(RedisNotifier, links)
    stops = providers.Singleton(RedisStopSignals, links)
    cache = providers.Singleton(RedisCache, links)
    store = providers.Singleton(RedisJobStore, links, feed_kept=providers.Callable(_feed_kept, histories))
    board = providers.Singleton(RedisWorkBoard, links)
    catalog = providers.Singleton(RedisJobCatalog, links)
    outputs = providers.Singleton(RedisJobOutputs, links)
    feeds = providers.Callable(_feeds, links)
    consumers = providers.Object(())

    queue = providers.Singleton(
        CeleryJobQueue,
        amqp_url,
        queue_type=settings.provided.queue_type,
        publish_ahead=settings.provided.publish_ahead,
        early_ack_after=providers.Callable(in_seconds, settings.provided.early_ack_seconds),
    )
    worker = providers.Factory(
        ThreadedWorker,
        providers.Factory(
            CeleryWorker,
            amqp_url,
            run=run_job,
            loop=providers.Callable(asyncio.get_running_loop),
            queues=providers.Callable(_queues, settings, handlers),
            concurrency=settings.provided.concurrency,
            drain_seconds=settings.provided.drain_seconds,
            queue_type=settings.provided.queue_type,
        ),
    )

    database = providers.Singleton(_history_database, settings)
    own_history = providers.Singleton(_own_history, database)

    suspects = providers.Singleton(Suspects, SUSPECTS_AT_ONCE)
    respite = lease
    owns_everything = providers.Object(False)
    openers = providers.Callable(_openers, database, links, notifier, stops, queue)
    closers = providers.Callable(_closers, database, links, notifier, stops, queue, http_client)


REPLACED = (
    "notifier",
    "stops",
    "cache",
    "store",
    "board",
    "catalog",
    "outputs",
    "feeds",
    "consumers",
    "queue",
    "worker",
    "database",
    "own_history",
    "suspects",
    "respite",
    "owns_everything",
    "openers",
    "closers",
)


def build_distributed(settings: Settings, handlers: HandlerRegistry) -> Container:
    """Return the container for these settings; nothing is opened yet.

    :raises InvalidSettings: a URL is missing
    """
    for name in ("redis_url", "amqp_url"):
        if getattr(settings, name) is None:
            raise InvalidSettings(f"ENCOLA_PROFILE=distributed needs ENCOLA_{name.upper()}.")
    container = Container(settings=settings, handlers=handlers)
    parts = DistributedParts(
        settings=settings,
        handlers=handlers,
        histories=container.histories,
        run_job=container.run_job,
        http_client=container.http_client,
    )
    container.override_providers(**{name: getattr(parts, name) for name in REPLACED})
    return container
