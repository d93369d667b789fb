"""What went wrong on purpose, and when: whatever the jobs suffered must be explained by it."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.chaos.processes import EncolaProcess, Life

STALL_SECONDS = 0.7
TICK_SECONDS = 0.05


@dataclass(slots=True, kw_only=True)
class Trouble:
    """One thing that was wrong for a while; ``pids`` is whom it hit, ``None`` for all."""

    kind: str
    pids: frozenset[int] | None
    began_at: float
    ended_at: float | None = None

    def hits(self, pid: int | None, since: float, until: float) -> bool:
        """Tell whether it touched the process (any, if unknown) in that time."""
        is_it = self.pids is None or pid is None or pid in self.pids
        ended_at = float("inf") if self.ended_at is None else self.ended_at
        return is_it and self.began_at <= until and ended_at >= since

    def __str__(self) -> str:
        lasted = "" if self.ended_at is None else f" for {self.ended_at - self.began_at:.2f} s"
        whom = "all" if self.pids is None else f"processes {sorted(self.pids)}"
        return f"{self.began_at:.3f}  {self.kind} ({whom}){lasted}"


class Troubles:
    """All of them, in the order in which they began."""

    def __init__(self) -> None:
        self.all: list[Trouble] = []

    @contextmanager
    def happening(self, kind: str, *processes: EncolaProcess) -> Iterator[None]:
        """Note that something is wrong while the context lasts: for all, if no process is named."""
        trouble = Trouble(kind=kind, pids=_pids(processes), began_at=time.time())
        self.all.append(trouble)
        try:
            yield
        finally:
            trouble.ended_at = time.time()
            if trouble.pids is not None:  # one may have been started anew meanwhile
                trouble.pids |= _pids(processes) or frozenset()

    async def note_stalls(self) -> None:
        """Note when the machine itself gave us no turn for so long that leases may have run out."""
        while True:
            before = time.time()
            await asyncio.sleep(TICK_SECONDS)
            now = time.time()
            if now - before > STALL_SECONDS:
                stall = Trouble(kind="the machine stalled", pids=None, began_at=before, ended_at=now)
                self.all.append(stall)


def _pids(processes: Iterable[EncolaProcess]) -> frozenset[int] | None:
    return frozenset(process.pid for process in processes) or None


def as_troubles(lives: Iterable[Life]) -> list[Trouble]:
    """Return the ends of processes as troubles of those processes."""
    return [
        Trouble(
            kind=f"{life.name} ended with {life.code}",
            pids=frozenset({life.pid}),
            began_at=life.ended_at,
            ended_at=life.ended_at,
        )
        for life in lives
        if life.ended_at is not None
    ]
