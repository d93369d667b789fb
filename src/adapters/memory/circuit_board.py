"""News of circuits between parts of one process."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from encola.application.ports import CircuitBoard, CircuitNews, HeardNews


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
        for board in self._circuits.boards:
            if board is not self:
                board._heard(news)

    def listen(self, heard: HeardNews) -> None:
        self._heard = heard

    async def may_probe(self, service: str, seconds: float) -> bool:
        await asyncio.sleep(0)
        now = self._circuits.now()
        holder, until = self._circuits.probes.get(service, (self, now))
        if until > now:
            return holder is self
        self._circuits.probes[service] = (self, now + seconds)
        return True
