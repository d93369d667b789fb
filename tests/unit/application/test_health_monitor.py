"""Health of services: who probes when, and who knows of it."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from house import within

from encola.adapters.memory import InMemoryHealthBoard, InMemoryMetrics, ManualClock, ScriptedServiceProbe
from encola.application.health_monitor import HealthMonitor
from encola.application.ports import HealthBoard
from encola.domain.errors import StoreUnavailable, UnknownService
from encola.domain.health import ServiceHealth, ServiceStatus, Target
from encola.testing.builders import after

SERVICES = {"query": "http://query.test", "agent": "http://agent.test"}
QUERY = Target("query", "http://query.test")
SECOND = timedelta(seconds=1)


class FickleHealthBoard(InMemoryHealthBoard):
    """A board that can be away, or hang."""

    is_away = False
    hangs = False

    async def read(self, target: Target) -> ServiceHealth | None:
        await self._come()
        return await super().read(target)

    async def take_turn(self, target: Target, *, ttl: timedelta) -> bool:
        await self._come()
        return await super().take_turn(target, ttl=ttl)

    async def note(self, target: Target, health: ServiceHealth, *, pause: timedelta) -> None:
        await self._come()
        await super().note(target, health, pause=pause)

    async def _come(self) -> None:
        if self.is_away:
            raise StoreUnavailable("The board is away.")
        if self.hangs:
            await asyncio.Event().wait()


class SlowServiceProbe(ScriptedServiceProbe):
    """A probe whose answers come when they are let."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()

    async def probe(self, target: Target) -> str | None:
        problem = await super().probe(target)
        await self.may_answer.wait()
        return problem


class Town:
    """Processes that share a board, on a clock that is moved by hand."""

    def __init__(self, probe: ScriptedServiceProbe | None = None, processes: int = 1) -> None:
        self.clock = ManualClock()
        self.board = FickleHealthBoard(self.clock)
        self.probe = probe or ScriptedServiceProbe()
        self.metrics = InMemoryMetrics()
        self.monitors = [self.monitor() for _ in range(processes)]

    def monitor(self, board: HealthBoard | None = None, chance: float = 0.5) -> HealthMonitor:
        """Return what looks after health in one process."""
        return HealthMonitor(
            SERVICES,
            probe=self.probe,
            board=board or self.board,
            clock=self.clock,
            chance=lambda: chance,
            metrics=self.metrics,
            monotonic=lambda: self.clock.now().timestamp(),
        )

    async def look(self, seconds: int = 0) -> None:
        """Let every process look after the services at once, and then once a second."""
        await self._round()
        for _ in range(seconds):
            await self.clock.advance(SECOND)
            await self._round()

    async def _round(self) -> None:
        await within(asyncio.gather(*(monitor() for monitor in self.monitors)))

    def probes(self, service: str = "query") -> int:
        """Return how often a service was probed."""
        return sum(target.service == service for target in self.probe.probes)

    def statuses(self, service: str = "query") -> list[str]:
        """Return what each process takes the service for."""
        return [monitor.known()[service].status.value for monitor in self.monitors]


def test_before_the_first_probe_nothing_is_known() -> None:
    assert Town().monitors[0].known() == {"query": ServiceHealth(), "agent": ServiceHealth()}


async def test_each_service_is_probed_at_its_address() -> None:
    town = Town()

    await town.look()

    assert {(probe.service, probe.base_url) for probe in town.probe.probes} == set(SERVICES.items())
    assert town.statuses() == ["up"]
    assert town.metrics.counted("encola_service_probes_total", service="query", outcome="ok") == 1


async def test_seed_24_a_service_that_is_well_is_probed_every_30_seconds() -> None:
    town = Town()

    await town.look(seconds=29)
    assert town.probes() == 1

    await town.look(seconds=1)
    assert town.probes() == 2


async def test_seed_24_a_service_that_is_down_is_probed_every_5_seconds() -> None:
    town = Town()
    town.probe.problems["query"] = "it answered 503"

    await town.look(seconds=4)
    assert (town.probes(), town.statuses()) == (1, ["unknown"])

    await town.look(seconds=1)
    assert (town.probes(), town.statuses()) == (2, ["down"])

    await town.look(seconds=20)
    assert (town.probes(), town.probes("agent")) == (6, 1)
    assert town.metrics.counted("encola_service_probes_total", service="query", outcome="failed") == 6


async def test_one_lost_probe_does_not_take_a_service_down() -> None:
    town = Town()
    await town.look()
    town.probe.problems["query"] = "it gave no answer within 2 s"
    await town.look(seconds=30)
    assert town.statuses() == ["up"]
    del town.probe.problems["query"]

    await town.look(seconds=5)

    health = town.monitors[0].known()["query"]
    assert (health.status, health.failures, health.since) == (ServiceStatus.UP, 0, after(0))


async def test_a_service_that_comes_back_is_up_with_its_first_good_probe() -> None:
    town = Town()
    town.probe.problems["query"] = "it answered 503"
    await town.look(seconds=10)
    assert town.statuses() == ["down"]
    del town.probe.problems["query"]

    await town.look(seconds=5)

    assert town.statuses() == ["up"]
    assert town.monitors[0].known()["query"].problem is None


async def test_seed_24_of_many_processes_one_probes_and_all_know() -> None:
    town = Town(processes=8)

    await town.look(seconds=1)
    assert (town.probes(), town.statuses()) == (1, ["up"] * 8)

    town.probe.problems["query"] = "it answered 503"
    await town.look(seconds=36)
    assert (town.probes(), town.statuses()) == (3, ["down"] * 8)


async def test_processes_count_the_failures_together() -> None:
    town = Town(processes=2)
    here, elsewhere = town.monitors
    town.probe.problems["query"] = "it answered 503"

    await here()
    await town.clock.advance(6 * SECOND)
    await elsewhere()

    assert elsewhere.known()["query"].status is ServiceStatus.DOWN


async def test_a_process_that_dies_while_it_probes_holds_up_the_others_for_seconds_only() -> None:
    town = Town(processes=2)
    await town.board.take_turn(QUERY, ttl=timedelta(seconds=5))

    await town.look(seconds=4)
    assert town.probes() == 0

    await town.look(seconds=2)
    assert (town.probes(), town.statuses()) == (1, ["up"] * 2)


async def test_callers_in_one_process_share_a_probe() -> None:
    probe = SlowServiceProbe()
    town = Town(probe)
    callers = [asyncio.create_task(town.monitors[0].of("query")) for _ in range(50)]
    await until(lambda: town.probes() == 1)

    probe.may_answer.set()
    healths = await within(asyncio.gather(*callers))

    assert {health.status for health in healths} == {ServiceStatus.UP}
    assert town.probes() == 1


async def test_a_caller_that_leaves_takes_no_probe_from_the_others() -> None:
    probe = SlowServiceProbe()
    monitor = Town(probe).monitors[0]
    leaving, staying = (asyncio.create_task(monitor.of("query")) for _ in range(2))
    await until(lambda: len(probe.probes) == 1)

    leaving.cancel()
    probe.may_answer.set()

    assert (await within(staying)).status is ServiceStatus.UP
    assert leaving.cancelled()


async def test_without_the_board_each_process_goes_by_its_own_probes() -> None:
    town = Town(processes=2)
    town.board.is_away = True

    await town.look(seconds=29)
    assert (town.probes(), town.statuses()) == (2, ["up", "up"])

    town.probe.problems["query"] = "it answered 503"
    await town.look(seconds=6)
    assert (town.probes(), town.statuses()) == (6, ["down", "down"])


async def test_what_the_board_kept_from_before_it_was_away_is_not_taken_for_news() -> None:
    town = Town()
    await town.look()
    town.board.is_away = True
    town.probe.problems["query"] = "it answered 503"
    await town.look(seconds=35)
    assert town.statuses() == ["down"]

    town.board.is_away = False
    await town.look(seconds=1)

    assert town.statuses() == ["down"]


async def test_a_board_that_hangs_is_not_waited_for_long() -> None:
    town = Town()
    town.board.hangs = True

    await town.look()

    assert town.statuses() == ["up"]


async def test_a_service_nobody_registered_has_no_health() -> None:
    with pytest.raises(UnknownService, match="'billing'"):
        await Town().monitors[0].of("billing")


async def test_with_no_services_there_is_nothing_to_do() -> None:
    monitor = HealthMonitor(
        {},
        probe=ScriptedServiceProbe(),
        board=InMemoryHealthBoard(ManualClock()),
        clock=ManualClock(),
        chance=lambda: 0.5,
        metrics=InMemoryMetrics(),
    )

    assert await monitor() == 0
    assert monitor.known() == {}


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0)
