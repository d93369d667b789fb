"""What an application does for the services beside it: their health, notes to them, operation types."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from encola import Encola, JobContext
from encola.adapters.memory import (
    InMemoryHealthBoard,
    ManualClock,
    ScriptedServiceCaller,
    ScriptedServiceProbe,
)
from encola.domain.errors import InvalidContext, InvalidSettings, UnknownOperation, UnknownService
from encola.domain.health import Target
from encola.domain.policy import OperationPolicy
from encola.entrypoints.settings import load_settings
from encola.testing.contracts.health_board import DOWN

SERVICES = {"query": "http://query.test", "metrics": "http://metrics.test"}
TELL = OperationPolicy(name="tell", timeout=3.0)
PATIENCE = 10.0


@pytest.fixture
def caller() -> ScriptedServiceCaller:
    return ScriptedServiceCaller({("query", "/told"): None}, SERVICES)


@pytest.fixture
def probe() -> ScriptedServiceProbe:
    return ScriptedServiceProbe()


@pytest.fixture
def board() -> InMemoryHealthBoard:
    return InMemoryHealthBoard(ManualClock())


@pytest.fixture
async def app(
    caller: ScriptedServiceCaller, probe: ScriptedServiceProbe, board: InMemoryHealthBoard
) -> AsyncIterator[Encola]:
    app = Encola(profile="memory", services=SERVICES, operations=[TELL])
    app.container.caller.override(caller)
    app.container.service_probe.override(probe)
    app.container.health_board.override(board)
    yield app
    await app.runtime.stop()


@pytest.fixture
async def http(app: Encola) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app.asgi())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def status_of(http: httpx.AsyncClient, service: str, expected: str) -> Any:
    """Return what ``/readyz`` says once it says that of the service."""
    async with asyncio.timeout(PATIENCE):
        while True:
            ready = (await http.get("/readyz")).json()
            if ready["services"][service]["status"] == expected:
                return ready
            await asyncio.sleep(0.01)


async def test_readiness_tells_of_the_services_and_their_state(http: httpx.AsyncClient) -> None:
    ready = await status_of(http, "query", "up")

    assert (ready["status"], ready["message"]) == ("ok", None)
    query = ready["services"]["query"]
    assert (query["failures"], query["problem"]) == (0, None)
    assert query["since"] == query["checked_at"]
    assert query["since"].endswith("Z")


async def test_a_service_that_is_down_leaves_the_process_ready(
    board: InMemoryHealthBoard, http: httpx.AsyncClient
) -> None:
    await board.note(Target("query", SERVICES["query"]), DOWN, pause=timedelta(minutes=1))

    ready = await status_of(http, "query", "down")

    assert ready["status"] == "ok"
    assert ready["services"]["query"]["problem"] == DOWN.problem
    assert (await http.get("/readyz")).status_code == 200


async def test_the_numbers_tell_tenants_no_more_than_which_service_is_up(http: httpx.AsyncClient) -> None:
    ready = await status_of(http, "metrics", "up")

    numbers = (await http.get("/api/metrics")).json()

    assert set(numbers["services"]) == set(SERVICES)
    shown = ready["services"]["metrics"]
    assert numbers["services"]["metrics"] == {key: shown[key] for key in ("status", "since", "checked_at")}


async def test_the_running_application_probes_each_service_and_ends_with_it(
    app: Encola, probe: ScriptedServiceProbe
) -> None:
    before = asyncio.all_tasks()
    async with app, asyncio.timeout(PATIENCE):
        while len(probe.probes) < len(SERVICES):  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.01)

    assert {target.service for target in probe.probes} == set(SERVICES)
    assert asyncio.all_tasks() <= before


async def test_a_note_is_sent_before_the_application_has_ended(
    app: Encola, caller: ScriptedServiceCaller
) -> None:
    async with app:
        app.notify("query/told", {"n": 1}, operation_type="tell", tenant="acme")

    assert [(call.data, call.context.tenant_id) for call in caller.calls] == [({"n": 1}, "acme")]


async def test_a_wrong_note_is_refused_at_once(app: Encola) -> None:
    with pytest.raises(UnknownService):
        app.notify("billing/told", tenant="acme")
    with pytest.raises(UnknownOperation):
        app.notify("query/told", operation_type="guess", tenant="acme")
    with pytest.raises(InvalidContext):
        app.notify("query/told")


async def test_a_handler_may_use_an_operation_of_ones_own(app: Encola, caller: ScriptedServiceCaller) -> None:
    @app.job("tell")
    async def tell(ctx: JobContext, params: object) -> bool:
        return (await ctx.call_service("query", "/told", operation_type="tell")).success

    async with app:
        job = await app.submit("tell")
        events = [event async for event in app.watch(job.id)]

    assert events[-1].result is True
    assert (caller.calls[0].operation, caller.calls[0].timeout) == (TELL, 3.0)


def test_operations_can_be_set_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCOLA_OPERATIONS", '[{"name": "tell", "timeout": 3}]')

    assert load_settings().operations == (TELL,)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[{"name": "tell", "timout": 3}]', "ENCOLA_OPERATIONS: there is no field 'timout'"),
        ('[{"name": "tell"}]', "ENCOLA_OPERATIONS__0__TIMEOUT: Field required"),
        ('[{"name": "tell", "timeout": "long"}]', "ENCOLA_OPERATIONS__0__TIMEOUT: "),
        ('[{"name": "tell", "timeout": 3, "repeat": "often"}]', "ENCOLA_OPERATIONS__0__REPEAT: "),
        ('{"name": "tell"}', "ENCOLA_OPERATIONS: "),
        ("tell", "ENCOLA_OPERATIONS: Input should be valid JSON"),
    ],
)
def test_operations_that_cannot_be_read_are_named(
    text: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCOLA_OPERATIONS", text)

    with pytest.raises(InvalidSettings) as refused:
        load_settings()

    assert str(refused.value).startswith(says)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"operations": [OperationPolicy(name="tell", timeout=0)]}, "timeout above 0"),
        ({"operations": [TELL, TELL]}, "two operation types called 'tell'"),
        ({"services": {"query": "ftp://query.test"}}, "base URL of the service 'query'"),
        ({"services": {"query": "http://user:secret@query.test"}}, "base URL of the service 'query'"),
        ({"services": {"Query": "http://query.test"}}, "service name 'Query'"),
    ],
)
async def test_what_cannot_work_is_refused_before_anything_is_opened(
    options: dict[str, Any], says: str
) -> None:
    app = Encola(profile="memory", **options)

    with pytest.raises(InvalidSettings, match=says) as refused:
        await app.runtime.start()

    assert "secret" not in str(refused.value)
    assert str(refused.value).count("\n") == 0
