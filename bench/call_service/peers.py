"""The peers, in their own environment: ``python -m bench.call_service.peers NAME URL CALLS AT_ONCE``."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import hishel
import httpx
import pybreaker
import stamina
from hishel.httpx import AsyncCacheClient
from redis.asyncio import Redis

from bench.call_service.load import QUESTION, rate, say

Call = Callable[[], Awaitable[None]]
AT_ONCE = 100


@asynccontextmanager
async def raw_aiohttp(url: str) -> AsyncIterator[Call]:
    """Use a session as its tutorial does, with as many connections as there are callers."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:

        async def call() -> None:
            async with session.post(url, json=QUESTION) as response:
                assert (await response.json())["success"]

        yield call


@asynccontextmanager
async def plain_httpx(url: str) -> AsyncIterator[Call]:
    """Use one client for all, as its guide does."""
    async with httpx.AsyncClient() as client:

        async def call() -> None:
            response = await client.post(url, json=QUESTION)
            assert response.raise_for_status().json()["success"]

        yield call


@asynccontextmanager
async def obvious_stack(url: str) -> AsyncIterator[Call]:
    """Put together what one finds first: httpx, stamina, hishel with Redis, and pybreaker."""
    breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=5)
    redis = Redis.from_url(os.environ["BENCH_REDIS_URL"])
    async with AsyncCacheClient(storage=hishel.AsyncRedisStorage(client=redis)) as client:

        @stamina.retry(on=httpx.HTTPError, attempts=3)
        async def call() -> None:
            with breaker.calling():
                response = await client.post(url, json=QUESTION, timeout=5.0)
                assert response.raise_for_status().json()["success"]

        yield call
    await redis.aclose()


@asynccontextmanager
async def hishel_hits(url: str) -> AsyncIterator[Call]:
    """Read what is in the cache already."""
    redis = Redis.from_url(os.environ["BENCH_REDIS_URL"])
    async with AsyncCacheClient(storage=hishel.AsyncRedisStorage(client=redis)) as client:

        async def call() -> None:
            response = await client.get(url)
            assert response.json()["success"]

        await call()
        assert (await client.get(url)).extensions["caching"]["from_cache"]
        yield call
    await redis.aclose()


CONTENDERS = {
    "aiohttp": raw_aiohttp,
    "httpx": plain_httpx,
    "the obvious stack": obvious_stack,
    "hishel": hishel_hits,
}


async def main(name: str, url: str, calls: int, at_once: int) -> None:
    """Measure one of them."""
    async with CONTENDERS[name](url) as call:
        say(await rate(calls, at_once, call))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
