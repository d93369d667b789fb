"""``notify()``: what is told without being waited for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from house import House, within

from encola.adapters.memory import InMemoryMetrics, ScriptedServiceCaller
from encola.application.current import current_context, running_in
from encola.application.job_context import JobContext
from encola.application.notify import Notify
from encola.domain.context import ExecutionContext
from encola.domain.errors import InvalidContext, NotJson, UnknownOperation, UnknownService
from encola.domain.operations import Operations
from encola.domain.policy import OperationPolicy
from encola.domain.service import ServiceCall
from encola.testing.builders import ACME

HERE = ExecutionContext(tenant_id=ACME, agent_id="a", conversation_id="b", collection_id="c")
OWN = OperationPolicy(name="tell_billing", timeout=1.0, method="PUT")
URL = "metrics/told"


class Town:
    """A notifier, and a service that may be slow, away or broken."""

    def __init__(self, *, most: int = 1000, quiet: float = 0.0, longest_wait: float = 0.0) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.contexts: list[ExecutionContext | None] = []
        self.caller = ScriptedServiceCaller(
            {
                ("metrics", "/told"): self._told,
                ("metrics", "/away"): self._away,
                ("metrics", "/broken"): self._broken,
            },
            {"metrics": "http://metrics.test/base"},
        )
        self.metrics = InMemoryMetrics()
        self.notify = Notify(
            caller=self.caller,
            metrics=self.metrics,
            operations=Operations([OWN]),
            most=most,
            quiet=quiet,
            longest_wait=longest_wait,
        )

    async def _told(self, call: ServiceCall) -> None:
        self.contexts.append(current_context())
        await self.open.wait()

    def _away(self, call: ServiceCall) -> None:
        raise ConnectionRefusedError

    def _broken(self, call: ServiceCall) -> None:
        raise RuntimeError("a flaw")

    @property
    def data(self) -> list[Any]:
        """Return what the service was told, in order."""
        return [call.data for call in self.caller.calls]

    async def told(self, times: int) -> None:
        """Return when the service was told so often, or fail."""
        await self.until(lambda: len(self.caller.calls) >= times)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds, or fail."""
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.001)

    def dropped(self, reason: str, operation: str = "queue_notification") -> int:
        """Return how many notes were dropped for this reason."""
        return self.metrics.counted(
            "encola_notes_dropped_total", service="metrics", operation=operation, reason=reason
        )


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    town = Town()
    yield town
    await town.notify.close(0)


async def test_a_note_is_sent_later_in_the_context_of_then(town: Town) -> None:
    with running_in(HERE):
        town.notify(URL, {"n": 1})

    assert not town.caller.calls
    await town.told(1)
    [call] = town.caller.calls
    assert (call.service, call.path, call.method, call.data) == ("metrics", "/told", "POST", {"n": 1})
    assert call.context == HERE
    assert (call.operation.name, call.timeout, call.attempts) == ("queue_notification", 5.0, 2)


async def test_what_is_passed_wins_and_an_operation_of_ones_own_decides(town: Town) -> None:
    with running_in(HERE):
        town.notify(
            "http://metrics.test/base/told",
            operation_type="tell_billing",
            agent_id="mine",
            idempotency_key="key-1",
        )
    await town.told(1)

    [call] = town.caller.calls
    assert (call.context.agent_id, call.context.tenant_id) == ("mine", ACME)
    assert (call.method, call.timeout, call.data, call.idempotency_key) == ("PUT", 1.0, None, "key-1")


@pytest.mark.parametrize(
    ("url", "data", "options", "error"),
    [
        ("billing/told", None, {"tenant_id": "acme"}, UnknownService),
        ("http://elsewhere.test/told", None, {"tenant_id": "acme"}, UnknownService),
        (URL, None, {"tenant_id": "acme", "operation_type": "guess"}, UnknownOperation),
        (URL, None, {}, InvalidContext),
        (URL, None, {"tenant_id": "a b"}, InvalidContext),
        (URL, None, {"tenant_id": "acme", "agent_id": "a/b"}, InvalidContext),
        (URL, {"at": object()}, {"tenant_id": "acme"}, NotJson),
        (URL, float("nan"), {"tenant_id": "acme"}, NotJson),
    ],
)
async def test_misuse_is_raised_at_once(
    town: Town, url: str, data: Any, options: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        town.notify(url, data, **options)

    assert town.notify.waiting == 0


async def test_the_data_is_taken_as_it_is_now(town: Town) -> None:
    data = {"list": [1]}
    town.notify(URL, data, tenant_id="acme")
    data["list"].append(2)

    await town.told(1)

    assert town.data == [{"list": [1]}]


async def test_notes_are_sent_one_after_the_other_in_order(town: Town) -> None:
    town.open.clear()
    for number in range(20):
        town.notify(URL, number, tenant_id="acme")
    await town.told(1)
    assert (len(town.caller.calls), town.notify.waiting) == (1, 19)

    town.open.set()
    await town.told(20)

    assert town.data == list(range(20))


async def test_notes_are_sent_after_all_before_were_sent(town: Town) -> None:
    for number in range(3):
        town.notify(URL, number, tenant_id="acme")
        await town.told(number + 1)
        await asyncio.sleep(0)

    assert town.data == [0, 1, 2]


async def test_seed_25_when_too_many_wait_the_oldest_is_dropped_and_counted() -> None:
    town = Town(most=3)
    for number in range(10):
        town.notify(URL, number, tenant_id="acme")
    assert town.notify.waiting == 3

    await town.told(3)

    assert town.data == [7, 8, 9]
    assert town.dropped("full") == 7
    await town.notify.close()


async def test_a_note_that_fails_is_counted_and_the_next_is_sent(town: Town) -> None:
    for place in ("away", "broken", "told"):
        town.notify(f"metrics/{place}", place, tenant_id="acme")

    await town.until(lambda: town.data == ["away", "broken", "told"])

    assert town.dropped("failed") == 2


async def test_notes_wait_until_nothing_is_asked_for(town: Town) -> None:
    town.notify.quiet, town.notify.longest_wait = 10.0, 60.0
    town.notify(URL, 1, tenant_id="acme")
    await asyncio.sleep(0.02)
    assert not town.caller.calls

    await within(town.notify.close())

    assert town.data == [1]


async def test_notes_do_not_wait_for_ever_for_quiet(town: Town) -> None:
    town.notify.quiet, town.notify.longest_wait = 10.0, 0.05
    town.notify(URL, 1, tenant_id="acme")

    await town.told(1)


async def test_closing_sends_what_waits(town: Town) -> None:
    for number in range(5):
        town.notify(URL, number, tenant_id="acme")

    await within(town.notify.close())

    assert town.data == [0, 1, 2, 3, 4]
    assert town.dropped("closed") == 0


async def test_closing_does_not_wait_for_a_service_that_hangs(town: Town) -> None:
    town.open.clear()
    for number in range(5):
        town.notify(URL, number, tenant_id="acme")
    await town.told(1)

    await within(town.notify.close(0.01))

    assert (town.dropped("closed"), town.notify.waiting) == (5, 0)


async def test_what_comes_after_the_closing_is_dropped_and_counted(town: Town) -> None:
    await town.notify.close()
    await town.notify.close()

    town.notify(URL, tenant_id="acme")

    assert (town.dropped("closed"), town.notify.waiting) == (1, 0)


async def test_nothing_of_the_first_request_clings_to_the_sender(town: Town) -> None:
    with running_in(HERE):
        town.notify(URL, 1)
    town.notify(URL, 2, tenant_id="globex")
    await town.told(2)

    assert town.contexts == [None, None]


async def test_handlers_tell_services_from_the_loop_and_from_threads() -> None:
    house = House({("metrics", "/told"): None})
    wrong: list[type[Exception]] = []

    async def work(ctx: JobContext, params: object) -> None:
        ctx.notify("metrics", "/told", {"from": "loop"})

    def plain(ctx: JobContext, params: object) -> None:
        ctx.notify("metrics", "/told", {"from": "thread"}, operation_type="websocket_handshake")
        try:
            ctx.notify("billing", "/told")
        except UnknownService as error:
            wrong.append(type(error))

    house.handle(work, "work")
    house.handle(plain, "plain")
    await house.run()
    await house.run(type="plain")
    await within(house.notify.close())

    assert [call.data for call in house.caller.calls] == [{"from": "loop"}, {"from": "thread"}]
    assert {call.context.tenant_id for call in house.caller.calls} == {ACME}
    assert [call.operation.name for call in house.caller.calls] == [
        "queue_notification",
        "websocket_handshake",
    ]
    assert wrong == [UnknownService]
