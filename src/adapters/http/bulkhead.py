"""How many attempts may be under way at one service, and who is next when there are too many."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from encola.domain.context import TenantId

PLACES = 100


def _everything() -> float:
    return 1.0


@dataclass(slots=True)
class Bulkhead:
    """Bounds the attempts under way at one service, so that a slow one cannot take up everything.

    While there is room everybody gets a place at once, however many one tenant has. When there is
    none, callers wait, and each place that comes back goes to the tenant that has the fewest; so
    however many calls of one tenant wait, another one has half of the places soon. As many may wait
    as there are places, half of them for one tenant. Used on one event loop.

    ``in_use`` is how many attempts are under way.

    :param share: how much of the places there are just now, above 0 and up to 1
    """

    places: int = PLACES
    share: Callable[[], float] = _everything
    in_use: int = field(init=False, default=0)
    _taken: dict[TenantId, int] = field(init=False, default_factory=dict)
    _waiting: dict[TenantId, deque[asyncio.Future[None]]] = field(init=False, default_factory=dict)
    _emptied: asyncio.Event | None = field(init=False, default=None)

    def take(self, tenant: TenantId) -> bool:
        """Take a place if there is one; whoever got it must :meth:`leave`."""
        if self._waiting or not self._has_room():
            return False
        self._give(tenant)
        return True

    async def wait(self, tenant: TenantId) -> bool:
        """Wait for a place, and tell whether one was given: ``False`` at once if too many wait.

        Whoever got one must :meth:`leave`; whoever is cancelled has none.
        """
        queue = self._waiting.get(tenant, deque())
        waiting = sum(map(len, self._waiting.values()))
        if waiting >= self.places or len(queue) >= max(1, self.places // 2):
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[tenant] = queue
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            self._give_up(tenant, turn)
            raise
        return True

    def leave(self, tenant: TenantId) -> None:
        """Give a place back."""
        self.in_use -= 1
        self._taken[tenant] -= 1
        if not self._taken[tenant]:
            del self._taken[tenant]
        while self._waiting and self._has_room():
            self._call_next()
        if self._emptied is not None and not self.in_use:
            self._emptied.set()

    async def emptied(self) -> None:
        """Return when no attempt is under way."""
        if self.in_use:
            self._emptied = asyncio.Event()
            await self._emptied.wait()

    def _has_room(self) -> bool:
        return self.in_use < max(1, int(self.places * self.share()))

    def _give(self, tenant: TenantId) -> None:
        self._taken[tenant] = self._taken.get(tenant, 0) + 1
        self.in_use += 1

    def _call_next(self) -> None:
        tenant = min(self._waiting, key=lambda waiting: self._taken.get(waiting, 0))
        turn = self._waiting[tenant].popleft()
        self._forget(tenant)
        self._give(tenant)
        turn.set_result(None)

    def _give_up(self, tenant: TenantId, turn: "asyncio.Future[None]") -> None:
        if turn.done() and not turn.cancelled():
            self.leave(tenant)
            return
        self._waiting[tenant].remove(turn)
        self._forget(tenant)

    def _forget(self, tenant: TenantId) -> None:
        if not self._waiting[tenant]:
            del self._waiting[tenant]
