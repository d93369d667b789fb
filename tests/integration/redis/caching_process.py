"""One of several processes whose callers ask the same: REDIS_URL SERVICE_URL CALLERS."""

import asyncio
import random
import sys

from encola.adapters.http import HttpServiceCaller, build_transport
from encola.adapters.memory import InMemoryCircuitBoard, InMemoryMetrics
from encola.adapters.redis import RedisCache, RedisLinks
from encola.adapters.system import SystemClock, SystemIds
from encola.adapters.telemetry import ChildIds
from encola.application.call_service import CallService
from encola.application.response_cache import ResponseCache


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(redis_url: str, service_url: str, callers: int) -> None:
    links, clock, metrics = RedisLinks(redis_url), SystemClock(), InMemoryMetrics()
    caller = HttpServiceCaller(
        {"query": service_url},
        build_transport(),
        chance=random.random,
        metrics=metrics,
        board=InMemoryCircuitBoard(),
        telemetry=ChildIds(SystemIds().random_hex),
    )
    responses = ResponseCache(RedisCache(links), clock, metrics)
    call_service = CallService(caller=caller, responses=responses, clock=clock)
    await links.open()
    say("ready")
    await asyncio.to_thread(sys.stdin.readline)

    async def ask() -> bool:
        result = await call_service(
            "query/q", {"q": 1}, operation_type="rag_query", use_cache=True, tenant_id="acme"
        )
        return result.success and result.data == {"answer": 42}

    answers = await asyncio.gather(*(ask() for _ in range(callers)))
    say(str(answers.count(True)))
    await responses.close()
    await caller.close()
    await links.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
