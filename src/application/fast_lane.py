"""Straight from the submit to the queue, while nobody waits before."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from encola.application.ports import Clock, JobQueue


@dataclass(slots=True, kw_only=True)
class FastLane:
    """Lets a new job pass by the work board when the queue has room and the board holds nothing.

    It saves the job a round over the store. The place in the queue is promised before the job is
    kept, and the job is kept as taken: should its message be lost, the board gives it again after
    ``patience``, as any other. As soon as jobs wait on the board, new ones wait behind them.
    """

    queue: JobQueue
    clock: Clock
    patience: timedelta = timedelta(seconds=60)
    is_clear: bool = False
    promised: int = 0

    @property
    def room(self) -> int:
        """Return how many more jobs the queue can take beside those it was promised to."""
        return self.queue.capacity() - self.promised

    @contextmanager
    def holding(self, places: int) -> Iterator[None]:
        """Keep so many places of the queue for the holder while the context lasts."""
        self.promised += places
        try:
            yield
        finally:
            self.promised -= places

    @contextmanager
    def place(self, queue: str) -> Iterator[datetime | None]:
        """Hold a place if there is one: give when the taking ends, or ``None`` to wait on the board."""
        if not self.is_clear or self.room <= 0 or queue in self.queue.full():
            self.is_clear = False
            yield None
            return
        with self.holding(1):
            yield self.clock.now() + self.patience
