"""Encola's part: ``python -m bench.call_service.ours WHAT URL CALLS AT_ONCE``."""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count

import httpx

from bench.call_service.load import QUESTION, rate, say
from bench.call_service.upstream import BODY
from encola.adapters.http import HttpServiceCaller, build_transport
from encola.adapters.memory import InMemoryCache, InMemoryCircuitBoard
from encola.adapters.redis import RedisCache, RedisCircuitBoard, RedisLinks
from encola.adapters.system import SystemClock, SystemIds
from encola.adapters.telemetry import ChildIds, PrometheusMetrics
from encola.application.call_service import CallService
from encola.application.ports import Cache, CircuitBoard
from encola.application.response_cache import ResponseCache
from encola.domain.operations import Operations

Call = Callable[[], Awaitable[None]]
TENANTS = ("acme", "globex", "initech", "umbrella")
OVERHEAD_CALLS = 5_000


def assembled(
    url: str,
    transport: httpx.AsyncBaseTransport,
    cache: Cache | None = None,
    board: CircuitBoard | None = None,
    operations: Operations | None = None,
) -> tuple[CallService, HttpServiceCaller, ResponseCache]:
    """Return everything as the container puts it together, with all layers."""
    clock, metrics, ids = SystemClock(), PrometheusMetrics(), SystemIds()
    caller = HttpServiceCaller(
        {"query": url},
        transport,
        chance=ids.chance,
        metrics=metrics,
        board=board or InMemoryCircuitBoard(),
        telemetry=ChildIds(ids.random_hex),
    )
    responses = ResponseCache(cache or InMemoryCache(clock), clock, metrics, chance=ids.chance)
    call_service = CallService(
        caller=caller, responses=responses, clock=clock, operations=operations or Operations()
    )
    return call_service, caller, responses


@asynccontextmanager
async def posting(url: str) -> AsyncIterator[Call]:
    """Call with every layer on, for four tenants in turn, with breakers that share through Redis."""
    links = RedisLinks(os.environ["BENCH_REDIS_URL"])
    board = RedisCircuitBoard(links, ["query"])
    call_service, caller, responses = assembled(url, build_transport(), RedisCache(links), board)
    await links.open()
    board.open()
    numbers = count()

    async def call() -> None:
        tenant = TENANTS[next(numbers) % len(TENANTS)]
        result = await call_service(
            "query/internal/query", QUESTION, operation_type="queue_notification", tenant_id=tenant
        )
        assert result.success, result

    yield call
    await responses.close()
    await caller.close()
    await board.close()
    await links.close()


@asynccontextmanager
async def local_hits(url: str) -> AsyncIterator[Call]:
    """Be answered by what this process remembers."""
    call_service, caller, responses = assembled(url, build_transport())

    async def call() -> None:
        await call_service(
            "query/internal/query", QUESTION, operation_type="rag_query", use_cache=True, tenant_id="acme"
        )

    await call()
    yield call
    await responses.close()
    await caller.close()


@asynccontextmanager
async def shared_hits(url: str) -> AsyncIterator[Call]:
    """Be answered by what Redis keeps, each question being new to this process."""
    links = RedisLinks(os.environ["BENCH_REDIS_URL"])
    call_service, caller, responses = assembled(url, build_transport(), RedisCache(links))
    await links.open()
    total = 400
    numbers = count()

    async def ask(number: int) -> str:
        result = await call_service(
            "query/internal/query",
            {"number": number % total},
            operation_type="queue_metrics",
            method="POST",
            use_cache=True,
            tenant_id="acme",
        )
        return result.meta.source

    for number in range(total):
        await ask(number)

    async def call() -> None:
        # As if another process asked, that remembers nothing.
        responses._local._entries.clear()
        assert await ask(next(numbers)) == "l2"

    yield call
    await responses.close()
    await caller.close()
    await links.close()


class NullTransport(httpx.AsyncBaseTransport):
    """Answers without a network."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the upstream's answer."""
        headers = [(b"Content-Type", b"application/json")]
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(BODY))


async def overhead() -> dict[str, float]:
    """Return what all layers together cost a call, without what carries it."""
    call_service, caller, responses = assembled("http://query.test", NullTransport())
    spent = []
    for number in range(OVERHEAD_CALLS):
        tenant = TENANTS[number % len(TENANTS)]
        began = time.perf_counter()
        await call_service(
            "query/internal/query", QUESTION, operation_type="queue_notification", tenant_id=tenant
        )
        spent.append(time.perf_counter() - began)
    await responses.close()
    await caller.close()
    return {"p50": statistics.median(spent) * 1e6}


MEASURED = {"Encola": posting, "L1": local_hits, "L2": shared_hits}


async def main(name: str, url: str, calls: int, at_once: int) -> None:
    """Measure one of them."""
    if name == "overhead":
        say(await overhead())
        return
    async with MEASURED[name](url) as call:
        say(await rate(calls, at_once, call))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
