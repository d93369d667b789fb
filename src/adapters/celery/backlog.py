"""How many messages wait in the broker's queues."""

from dataclasses import dataclass
from typing import Final

REMEMBERED_SECONDS: Final = 30.0


@dataclass(slots=True)
class _Depth:
    """``counted`` is what the broker said last, ``added`` what we sent since."""

    used_at: float
    counted: int = 0
    added: int = 0


class Backlog:
    """What is known of the queues that this process publishes to; ``full`` are those with enough.

    The broker's count is a little old at any time, and others publish too: it is a brake, not a bound.
    Times are the loop's, in seconds.
    """

    def __init__(self, enough: int) -> None:
        self._enough = enough
        self._depths: dict[str, _Depth] = {}
        self.full: frozenset[str] = frozenset()

    def add(self, queue: str, now: float) -> None:
        """Note that one more message is on its way to the queue."""
        depth = self._depths.get(queue)
        if depth is None:
            depth = self._depths[queue] = _Depth(now)
        depth.used_at = now
        depth.added += 1
        if depth.counted + depth.added >= self._enough and queue not in self.full:
            self.full |= {queue}

    def in_question(self, now: float) -> list[str]:
        """Return the queues to be counted: those used lately, and the full ones; forget the others."""
        self._depths = {
            queue: depth
            for queue, depth in self._depths.items()
            if queue in self.full or now - depth.used_at < REMEMBERED_SECONDS
        }
        return list(self._depths)

    def sent_to(self, queue: str) -> int:
        """Return how many went to the queue since it was counted."""
        depth = self._depths.get(queue)
        return depth.added if depth is not None else 0

    def count(self, queue: str, waiting: int, included: int) -> None:
        """Note the broker's count, which includes so many of what was sent since the last one."""
        depth = self._depths.get(queue)
        if depth is None:
            return
        depth.counted = waiting
        depth.added -= included
        if waiting + depth.added >= self._enough:
            self.full |= {queue}
        else:
            self.full -= {queue}
