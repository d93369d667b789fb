import asyncio
import itertools
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from encola.adapters.memory import ManualClock
from encola.application.current import current_context, current_deadline
from encola.entrypoints.service_side import ServiceSide


class Service:
    """Says in which context it was called, and hangs when told to."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.numbers = itertools.count(1)
        self.begun = 0
        self.ended = 0
        self.may_end = asyncio.Event()
        self.app = ServiceSide(
            Starlette(routes=[Route("/", self.say, methods=["GET", "POST"]), Route("/hang", self.hang)]),
            clock=self.clock,
            most_under_way=2,
            baggage=["region", "plan"],
            new_id=lambda: f"new-{next(self.numbers)}",
        )

    async def say(self, request: Request) -> JSONResponse:
        self.begun += 1
        context, deadline = current_context(), current_deadline()
        left = None if deadline is None else (deadline - self.clock.now()).total_seconds()
        return JSONResponse({"context": context and context.as_mapping(), "left": left})

    async def hang(self, request: Request) -> JSONResponse:
        self.begun += 1
        try:
            await self.may_end.wait()
        finally:
            self.ended += 1
        return JSONResponse({})


@pytest.fixture
def service() -> Service:
    return Service()


async def asked(service: Service, path: str = "/", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        return await client.get(path, headers=headers)


def error_of(response: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    return error


async def test_context_and_deadline_are_those_of_the_caller(service: Service) -> None:
    headers = {"X-Tenant-ID": "acme", "X-Agent-ID": "a", "X-Request-ID": "r-1"}
    response = await asked(service, **headers, **{"X-Request-Timeout-Ms": "1500"})

    context = {"tenant_id": "acme", "agent_id": "a", "request_id": "r-1"}
    assert response.json() == {"context": context, "left": 1.5}
    assert (current_context(), current_deadline()) == (None, None)


async def test_a_request_that_brings_nothing_is_handled_as_ever(service: Service) -> None:
    assert (await asked(service)).json() == {"context": None, "left": None}


async def test_the_trace_and_the_baggage_that_is_let_in_are_taken_up(service: Service) -> None:
    trace = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "x=1,y=2"}
    baggage = "user=ana, region=eu;ttl=1,secret=x,plan=a%20b"
    response = await asked(service, **{"X-Tenant-ID": "acme", "baggage": baggage}, **trace)

    context = response.json()["context"]
    assert context == {
        "tenant_id": "acme",
        "request_id": "new-1",
        "baggage": "region=eu;ttl=1,plan=a%20b",
        **trace,
    }


async def test_lists_may_come_in_several_headers(service: Service) -> None:
    headers = [
        ("X-Tenant-ID", "acme"),
        ("traceparent", f"00-{'a' * 32}-{'b' * 16}-01"),
        ("tracestate", "x=1"),
        ("baggage", "region=eu"),
        ("tracestate", "y=2"),
        ("baggage", "plan=a"),
    ]
    transport = httpx.ASGITransport(service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        context = (await client.get("/", headers=headers)).json()["context"]

    assert (context["tracestate"], context["baggage"]) == ("x=1,y=2", "region=eu,plan=a")


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": "00-zz-1", "tracestate": "x=1"},
        {"traceparent": f"00-{'0' * 32}-{'b' * 16}-01"},
        {"tracestate": "x=1"},
        {"traceparent": "null", "baggage": "undefined"},
        {"baggage": "=;,,"},
        {"X-Request-ID": "a b"},
        {"X-Request-ID": "x" * 129},
    ],
)
async def test_what_cannot_be_read_of_a_trace_is_dropped_and_never_refused(
    service: Service, headers: dict[str, str]
) -> None:
    response = await asked(service, **{"X-Tenant-ID": "acme"}, **headers)

    assert response.json()["context"] == {"tenant_id": "acme", "request_id": "new-1"}


async def test_every_answer_says_which_request_it_belongs_to(service: Service) -> None:
    named = {"X-Request-ID": "mine"}
    answers = [
        await asked(service, **named),
        await asked(service, **named, **{"X-Tenant-ID": "a b"}),
        await asked(service, **named, **{"X-Request-Timeout-Ms": "0"}),
        await asked(service, "/nowhere", **named),
    ]

    assert [answer.status_code for answer in answers] == [200, 422, 504, 404]
    assert [answer.headers.get_list("x-request-id") for answer in answers] == [["mine"]] * 4


async def test_requests_without_a_name_get_names_of_their_own(service: Service) -> None:
    names = [(await asked(service)).headers["x-request-id"] for _ in range(2)]

    assert names == ["new-1", "new-2"]


async def test_a_name_outside_the_grammar_is_refused(service: Service) -> None:
    response = await asked(service, **{"X-Tenant-ID": "acme", "X-Agent-ID": "a/b"})

    assert (response.status_code, error_of(response)["code"], service.begun) == (422, "invalid_context", 0)


@pytest.mark.parametrize("left", ["0", "-20"])
async def test_work_that_is_late_is_not_begun(service: Service, left: str) -> None:
    response = await asked(service, **{"X-Tenant-ID": "acme", "X-Request-Timeout-Ms": left})

    assert (response.status_code, service.begun) == (504, 0)
    assert (error_of(response)["code"], error_of(response)["retryable"]) == ("deadline_exceeded", False)


@pytest.mark.parametrize("left", ["soon", "", "1.5", "٣", "9" * 40, "--1"])
async def test_a_time_that_cannot_be_read_is_none(service: Service, left: str) -> None:
    response = await asked(service, **{"X-Tenant-ID": "acme", "X-Request-Timeout-Ms": left.encode()})  # type: ignore[arg-type]

    assert (response.status_code, response.json()["left"]) == (200, None)


async def test_work_is_ended_when_its_caller_is_gone(service: Service) -> None:
    response = await asked(service, "/hang", **{"X-Request-Timeout-Ms": "20"})

    assert (response.status_code, service.begun, service.ended) == (504, 1, 1)


async def test_who_is_too_many_is_told_not_to_repeat(service: Service) -> None:
    under_way = [asyncio.create_task(asked(service, "/hang")) for _ in range(2)]
    async with asyncio.timeout(5):
        while service.begun < 2:  # noqa: ASYNC110 - the tasks have no other way to tell
            await asyncio.sleep(0)
    refused = await asked(service)
    service.may_end.set()
    await asyncio.gather(*under_way)
    after = await asked(service)

    assert (refused.status_code, error_of(refused)["code"]) == (503, "overloaded")
    assert error_of(refused)["retryable"] is False
    assert refused.headers["retry-after"] == "1"
    assert after.status_code == 200
