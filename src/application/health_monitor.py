"""Knowing which services are up."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from encola.application.ports import Clock, HealthBoard, Metrics, ServiceProbe
from encola.application.single_flight import SingleFlight
from encola.domain.errors import StoreUnavailable, UnknownService
from encola.domain.health import ServiceHealth, Target

TURN = timedelta(seconds=5)
BOARD_SECONDS = 1.0
PROBES_AT_ONCE = 16

T = TypeVar("T")


@dataclass(slots=True)
class _Known:
    """What this process knows of a service.

    ``noted`` is what stood on the board when it was last looked at. ``due`` is when the next probe is
    due on this process's own clock, which counts only while the board is away.
    """

    health: ServiceHealth = field(default_factory=ServiceHealth)
    noted: ServiceHealth | None = None
    due: float = 0.0


class HealthMonitor:
    """The health of every registered service, probed by one process and known to all.

    Health is for people and for monitoring. It neither opens nor closes a circuit, and calls are
    made whatever it says: a probe that fails proves little about the next call.

    While the board is away each process goes by its own probes.
    """

    def __init__(
        self,
        services: Mapping[str, str],
        *,
        probe: ServiceProbe,
        board: HealthBoard,
        clock: Clock,
        chance: Callable[[], float],
        metrics: Metrics,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._known = {Target(name, url): _Known() for name, url in services.items()}
        self._targets = {target.service: target for target in self._known}
        self._probe = probe
        self._board = board
        self._clock = clock
        self._chance = chance
        self._metrics = metrics
        self._monotonic = monotonic
        self._flights: SingleFlight[ServiceHealth] = SingleFlight()
        self._places = asyncio.Semaphore(PROBES_AT_ONCE)

    async def __call__(self) -> int:
        """Look after all services once, as the keeper does each second; there is never more to do."""
        await asyncio.gather(*map(self.of, self._targets))
        return 0

    def known(self) -> dict[str, ServiceHealth]:
        """Return what this process knows now, without asking anybody."""
        return {target.service: known.health for target, known in self._known.items()}

    async def of(self, service: str) -> ServiceHealth:
        """Return the health of a service, probing it first if it is due and nobody else does.

        Never fails for the service's or the board's sake, and takes a few seconds at the most.

        :raises UnknownService: nobody registered the service
        """
        target = self._targets.get(service)
        if target is None:
            raise UnknownService(f"There is no service called {service!r}.")
        health, _ = await self._flights(target, lambda: self._look_after(target))
        return health

    async def _look_after(self, target: Target) -> ServiceHealth:
        known = self._known[target]
        self._heed(known, await self._soon(self._board.read(target), None))
        is_due = known.due <= self._monotonic()
        if await self._soon(self._board.take_turn(target, ttl=TURN), is_due):
            await self._ask(target, known)
        return known.health

    def _heed(self, known: _Known, noted: ServiceHealth | None) -> None:
        """Take over what another process found out.

        What stands there unchanged is older than what this process found out since, when the board
        was away. No instants are compared: the clocks of two machines differ.
        """
        if noted is not None and noted != known.noted:
            known.health = known.noted = noted
            known.due = self._monotonic() + noted.pause(self._chance()).total_seconds()

    async def _ask(self, target: Target, known: _Known) -> None:
        async with self._places:
            problem = await self._probe.probe(target)
        known.health = known.health.probed(problem, self._clock.now())
        pause = known.health.pause(self._chance())
        known.due = self._monotonic() + pause.total_seconds()
        self._metrics.count(
            "encola_service_probes_total",
            service=target.service,
            outcome="ok" if problem is None else "failed",
        )
        if await self._soon(self._note(target, known.health, pause), False):
            known.noted = known.health

    async def _note(self, target: Target, health: ServiceHealth, pause: timedelta) -> bool:
        await self._board.note(target, health, pause=pause)
        return True

    async def _soon(self, asked: Awaitable[T], otherwise: T) -> T:
        try:
            async with asyncio.timeout(BOARD_SECONDS):
                return await asked
        except (StoreUnavailable, TimeoutError):
            return otherwise
