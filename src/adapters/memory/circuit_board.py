"""News of circuits between parts of one process."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from encola.application.ports import CircuitBoard, CircuitNews, HeardNews

SETTLED_SECONDS: Final = 1.0


@dataclass(slots=True)
class MemoryCircuits:
    """What boards share that are to hear each other."""

    now: Callable[[], float] = monotonic
    boards: "list[InMemoryCircuitBoard]" = field(default_factory=list)
    probes: "dict[str, tuple[InMemoryCircuitBoard, float]]" = field(default_factory=dict)


class InMemoryCircuitBoard(CircuitBoard):
    """A board among those of its ``circuits``; alone when none are given."""

    def __init__(self, circuits: MemoryCircuits | None = None) -> None:
        self._circuits = circuits or MemoryCircuits()
        self._circuits.boards.append(self)
        self._heard: HeardNews = lambda news: None

    def tell(self, news: CircuitNews) -> None:
        probe = self._circuits.probes.get(news.service)
        if probe is not None and not news.open_seconds:
            holder, until = probe
            settled = min(until, self._circuits.now() + SETTLED_SECONDS)
            self._circuits.probes[news.service] = (holder, settled)
        for board in self._circuits.boards:
            if board is not self:
                board._heard(news)

    def listen(self, heard: HeardNews) -> None:
        self._heard = heard

    async def may_probe(self, service: str, seconds: float) -> bool:
        await asyncio.sleep(0)
        now = self._circuits.now()
        holder, until = self._circuits.probes.get(service, (self, now))
        if until > now and holder is not self:
            return False
        self._circuits.probes[service] = (self, now + seconds)
        return True
