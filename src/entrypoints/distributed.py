"""The distributed profile: state in Redis, jobs carried by RabbitMQ, workers on Celery."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dependency_injector import containers, providers
from pydantic import SecretStr

from encola.adapters.celery import CeleryJobQueue, CeleryWorker
from encola.adapters.redis import (
    RedisCache,
    RedisCircuitBoard,
    RedisHealthBoard,
    RedisJobCatalog,
    RedisJobFeed,
    RedisJobOutputs,
    RedisJobStore,
    RedisLinks,
    RedisNotifier,
    RedisStopSignals,
    RedisWorkBoard,
)
from encola.application.handlers import HandlerRegistry
from encola.application.suspects import Suspects
from encola.domain.errors import InvalidSettings
from encola.entrypoints.blocking_worker import ThreadedWorker
from encola.entrypoints.container import Container, Provided, Step, in_seconds, replace_parts
from encola.entrypoints.settings import Settings

if TYPE_CHECKING:
    from encola.adapters.sql import SqlJobHistory

SUSPECTS_AT_ONCE = 1


def _spelt(url: SecretStr) -> str:
    return url.get_secret_value()


def _own_history(settings: Settings) -> "SqlJobHistory | None":
    """Return the history in PostgreSQL if there is to be one; it is opened by its first use."""
    if settings.history_url is None:
        return None
    from encola.adapters.sql import SqlDatabase, SqlJobHistory

    return SqlJobHistory(SqlDatabase(settings.history_url.get_secret_value()))


def _feeds(links: RedisLinks) -> list[RedisJobFeed]:
    return [RedisJobFeed(link, keys) for link, keys in links.all()]


def _feed_kept(histories: Sequence[str]) -> int:
    """Return how long the feed may grow: nobody reads it where no history is kept."""
    return 1_000_000 if histories else 1_000


def _queues(settings: Settings, handlers: HandlerRegistry) -> tuple[str, ...]:
    return settings.queues or handlers.queues


def _closers(history: "SqlJobHistory | None", steps: Sequence[Step]) -> list[Step]:
    return [*steps, *([] if history is None else [history.close])]


class DistributedParts(containers.DeclarativeContainer):
    """What takes the place of the embedded parts, under the same names."""

    settings = providers.Dependency(instance_of=Settings)
    handlers = providers.Dependency(instance_of=HandlerRegistry)
    histories: Provided = providers.Dependency()
    run_job: Provided = providers.Dependency()
    responses: Provided = providers.Dependency()
    caller: Provided = providers.Dependency()
    transport: Provided = providers.Dependency()

    redis_url = providers.Callable(_spelt, settings.provided.redis_url)
    amqp_url = providers.Callable(_spelt, settings.provided.amqp_url)

    links = providers.Singleton(RedisLinks, redis_url, shards=settings.provided.redis_shards)
    notifier = providers.Singleton(RedisNotifier, links)
    stops = providers.Singleton(RedisStopSignals, links)
    cache = providers.Singleton(RedisCache, links)
    circuits = providers.Singleton(
        RedisCircuitBoard, links, providers.Callable(tuple, settings.provided.services)
    )
    health_board = providers.Singleton(RedisHealthBoard, links)
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

    own_history = providers.Singleton(_own_history, settings)

    suspects = providers.Singleton(Suspects, SUSPECTS_AT_ONCE)
    respite = providers.Callable(in_seconds, settings.provided.lease_seconds)
    owns_everything = providers.Object(False)
    openers = providers.List(
        links.provided.open,
        notifier.provided.open,
        stops.provided.open,
        circuits.provided.open,
        queue.provided.open,
    )
    closers = providers.Callable(
        _closers,
        own_history,
        providers.List(
            queue.provided.close,
            stops.provided.close,
            notifier.provided.close,
            responses.provided.close,
            caller.provided.close,
            transport.provided.aclose,
            circuits.provided.close,
            links.provided.close,
        ),
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
        responses=container.responses,
        caller=container.caller,
        transport=container.transport,
    )
    replace_parts(container, parts)
    return container
