"""The stores in Redis, opened for a test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from encola.adapters.redis import (
    RedisJobCatalog,
    RedisJobFeed,
    RedisJobOutputs,
    RedisJobStore,
    RedisLinks,
    RedisNotifier,
    RedisWorkBoard,
)
from encola.testing.stores import Stores


@asynccontextmanager
async def redis_stores(url: str) -> AsyncIterator[Stores]:
    """Open the stores of one shard while the context lasts."""
    links = RedisLinks(url)
    notifier = RedisNotifier(links)
    await links.open()
    await notifier.open()
    [(link, keys)] = links.all()
    yield Stores(
        jobs=RedisJobStore(links),
        board=RedisWorkBoard(links),
        catalog=RedisJobCatalog(links),
        feed=RedisJobFeed(link, keys),
        outputs=RedisJobOutputs(links),
        notifier=notifier,
    )
    await notifier.close()
    await links.close()
