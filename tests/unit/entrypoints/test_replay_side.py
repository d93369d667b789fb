import asyncio
from datetime import timedelta

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from encola.adapters.memory import InMemoryCache, ManualClock
from encola.entrypoints.replay_side import ReplaySide


class Shop:
    """Takes orders, each with an effect that can be counted."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.effects = 0
        self.status = 201
        self.size = 0
        self.may_end = asyncio.Event()
        self.may_end.set()
        routes = [
            Route("/orders", self.order, methods=["GET", "POST"]),
            Route("/other", self.order, methods=["POST"]),
        ]
        self.app = ReplaySide(Starlette(routes=routes), cache=InMemoryCache(self.clock))

    async def order(self, request: Request) -> Response:
        self.effects += 1
        number = self.effects
        await self.may_end.wait()
        content = {"order": number, "said": (await request.body()).decode(), "more": "x" * self.size}
        return JSONResponse(content, self.status, {"Location": f"/orders/{number}", "Set-Cookie": "a=b"})


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def order(
    shop: Shop,
    key: str | None = "k",
    body: str = "tea",
    *,
    tenant: str = "acme",
    method: str = "POST",
    path: str = "/orders",
    **more: str,
) -> httpx.Response:
    headers = {"X-Tenant-ID": tenant} | ({"Idempotency-Key": key} if key else {}) | more
    transport = httpx.ASGITransport(shop.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        return await client.request(method, path, content=body, headers=headers)


async def test_a_repetition_gets_the_first_answer_and_has_no_effect(shop: Shop) -> None:
    first, again = await order(shop), await order(shop)

    assert shop.effects == 1
    assert (again.status_code, again.content) == (201, first.content)
    assert (again.headers["location"], again.headers["content-type"]) == ("/orders/1", "application/json")
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert "set-cookie" not in again.headers


@pytest.mark.parametrize(
    "changes", [{"key": "other"}, {"key": None}, {"tenant": "globex"}, {"path": "/other"}, {"method": "GET"}]
)
async def test_only_the_same_key_of_the_same_tenant_at_the_same_place_is_a_repetition(
    shop: Shop, changes: dict[str, str]
) -> None:
    await order(shop)
    await order(shop, **changes)  # type: ignore[arg-type]

    assert shop.effects == 2


async def test_a_key_with_another_body_is_refused(shop: Shop) -> None:
    await order(shop)
    refused = await order(shop, body="coffee")

    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "idempotency_mismatch")
    assert shop.effects == 1


async def test_a_repetition_while_the_first_is_under_way_is_told_to_wait(shop: Shop) -> None:
    shop.may_end.clear()
    first = asyncio.create_task(order(shop))
    async with asyncio.timeout(5):
        while not shop.effects:  # noqa: ASYNC110 - the shop has no other way to tell
            await asyncio.sleep(0)
    refused = await order(shop)
    shop.may_end.set()
    answered = await first

    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "in_progress")
    assert "retry-after" in refused.headers
    assert answered.status_code == 201
    assert (await order(shop)).content == answered.content
    assert shop.effects == 1


@pytest.mark.parametrize("status", [500, 503, 408, 425, 429])
async def test_what_may_pass_is_not_kept(shop: Shop, status: int) -> None:
    shop.status = status
    await order(shop)
    shop.status = 201

    assert (await order(shop)).status_code == 201


async def test_a_refusal_is_kept(shop: Shop) -> None:
    shop.status = 422
    await order(shop)

    assert (await order(shop)).status_code == 422
    assert shop.effects == 1


async def test_an_answer_that_is_too_large_is_not_kept(shop: Shop) -> None:
    shop.size = 1024 * 1024
    await order(shop)

    assert "idempotent-replayed" not in (await order(shop)).headers


async def test_a_body_that_is_too_large_is_refused(shop: Shop) -> None:
    refused = await order(shop, body="x" * (1024 * 1024 + 1))

    assert (refused.status_code, shop.effects) == (413, 0)


async def test_after_its_time_a_key_is_new(shop: Shop) -> None:
    await order(shop)
    await shop.clock.advance(timedelta(minutes=30))
    await order(shop)

    assert shop.effects == 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"X-Operation": "queue_job_create"}, 300),
        ({"X-Operation": "batch_job"}, 1800),
        ({"X-Operation": "agent_execution_queue"}, 30),
        ({"X-Operation": "agent_execution_queue", "X-Request-Timeout-Ms": "90000"}, 90),
        ({"X-Operation": "queue_job_create", "X-Request-Timeout-Ms": "soon"}, 300),
        ({"X-Operation": "nobody_knows"}, 1800),
        ({}, 1800),
    ],
)
async def test_an_answer_is_kept_as_long_as_its_operation_says_and_may_be_repeated(
    shop: Shop, headers: dict[str, str], seconds: int
) -> None:
    await order(shop, **headers)
    await shop.clock.advance(timedelta(seconds=seconds - 1))
    await order(shop, **headers)
    assert shop.effects == 1

    await shop.clock.advance(timedelta(seconds=1))
    await order(shop, **headers)
    assert shop.effects == 2
