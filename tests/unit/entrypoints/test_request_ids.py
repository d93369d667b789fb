"""A request's name, trace and baggage: in the answer, in the job, and in what the job calls."""

import re
import sys
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from encola import Encola, JobContext
from encola.adapters.memory import ScriptedServiceCaller
from encola.adapters.telemetry import ChildIds
from encola.adapters.telemetry.opentelemetry import OpenTelemetryCalls
from encola.domain.errors import InvalidSettings
from encola.entrypoints.request_ids import RequestIds

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def app() -> AsyncGenerator[Encola, None]:
    app = Encola(profile="memory", baggage=("plan",))
    app.container.caller.override(ScriptedServiceCaller({("query", "/ask"): context_of_call}))

    @app.job("ask")
    async def ask(ctx: JobContext, params: Any) -> Any:
        return dict(await ctx.call_service("query", "/ask", operation_type="rag_query"))

    yield app
    await app.runtime.stop()


def context_of_call(call: Any) -> dict[str, str]:
    mapping: dict[str, str] = call.context.as_mapping()
    return mapping


@pytest.fixture
async def api(app: Encola) -> AsyncGenerator[httpx.AsyncClient, None]:
    transport = httpx.ASGITransport(app.asgi(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api") as client:
        yield client


async def test_every_answer_carries_the_name_of_its_request(api: httpx.AsyncClient) -> None:
    named = {"X-Request-ID": "req:1@client"}
    answers = [
        await api.post("/jobs", json={"type": "ask"}, headers=named),
        await api.post("/jobs", json={"type": "nobody"}, headers=named),
        await api.post("/jobs", json={"type": "ask"}, headers={**named, "X-Agent-ID": "a b"}),
        await api.post("/jobs", content=b"x" * 1024 * 1025, headers=named),
        await api.get("/jobs/unknown", headers=named),
        await api.get("/nowhere", headers=named),
        await api.options("/jobs", headers={**named, "Origin": "http://evil.test"}),
    ]

    assert {answer.status_code for answer in answers} >= {202, 404, 413, 422}
    assert [answer.headers.get_list("x-request-id") for answer in answers] == [["req:1@client"]] * 7


@pytest.mark.parametrize("name", [None, "", "a b", "a" * 129, "a\tb", "é".encode()])
async def test_a_request_without_a_usable_name_gets_one(api: httpx.AsyncClient, name: Any) -> None:
    headers = {} if name is None else {"X-Request-ID": name}
    answers = [await api.get("/jobs", headers=headers) for _ in range(2)]
    names = {answer.headers["x-request-id"] for answer in answers}

    assert len(names) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in names)


async def test_pages_of_other_origins_may_read_the_name(api: httpx.AsyncClient) -> None:
    answer = await api.get("/jobs", headers={"Origin": "http://localhost:3000"})

    assert "X-Request-ID" in answer.headers["access-control-expose-headers"]


async def test_what_came_with_a_request_goes_along_into_what_its_job_calls(
    app: Encola, api: httpx.AsyncClient
) -> None:
    headers = {
        "X-Tenant-ID": "acme",
        "X-Request-ID": "r-1",
        "traceparent": TRACEPARENT,
        "tracestate": "x=1",
        "baggage": "user=ana,plan=a%20b",
    }
    accepted = await api.post("/jobs", json={"type": "ask"}, headers=headers)
    async with app:
        place = accepted.headers["location"].removeprefix("/api")
        job = (await api.get(place, params={"wait": 10}, headers=headers)).json()

    context = {
        "tenant_id": "acme",
        "request_id": "r-1",
        "traceparent": TRACEPARENT,
        "tracestate": "x=1",
        "baggage": "plan=a%20b",
    }
    assert job["status"] == "completed"
    assert job["context"] == job["result"]["data"] == context
    assert job["result"]["meta"]["request_id"] == "r-1"
    assert job["result"]["meta"]["trace_id"] == TRACEPARENT[3:35]


async def test_the_outer_of_two_names_the_request() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Request-ID", b"own")]})

    async def receive() -> Message:
        raise AssertionError("nobody reads")

    async def send(message: Message) -> None:
        sent.append(message)

    sent: list[Message] = []
    inner = RequestIds(app, new_id=lambda: "inner")
    await RequestIds(inner, new_id=lambda: "outer")({"type": "http", "headers": []}, receive, send)

    assert [message["headers"] for message in sent] == [[(b"x-request-id", b"outer")]]


@pytest.mark.parametrize("name", ["", "a b", "a=b", "ñ"])
def test_a_name_that_baggage_cannot_have_is_refused_at_the_start(name: str) -> None:
    with pytest.raises(InvalidSettings, match="ENCOLA_BAGGAGE"):
        Encola(profile="memory", baggage=("plan", name)).use_cases  # noqa: B018


def test_what_traces_calls_is_a_setting() -> None:
    plain = Encola(profile="memory").container.call_telemetry()
    spans = Encola(profile="memory", telemetry="opentelemetry").container.call_telemetry()

    assert isinstance(plain, ChildIds)
    assert isinstance(spans, OpenTelemetryCalls)


def test_opentelemetry_that_is_not_installed_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "encola.adapters.telemetry.opentelemetry")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    with pytest.raises(InvalidSettings, match=r"encola\[opentelemetry\]"):
        Encola(profile="memory", telemetry="opentelemetry").container.call_telemetry()
