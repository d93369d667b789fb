"""How many attempts may be under way at one service, and how many of them for one tenant."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from encola.domain.context import TenantId

PLACES = 100
SHARE_ALONE = 0.9
SHARE_AMONG_OTHERS = 0.5


@dataclass(slots=True)
class Bulkhead:
    """Bounds the attempts under way at one service, so that a slow one cannot take up everything.

    Nobody waits for a place: who gets none fails at once, and knows it. A tenant that is alone gets
    nine tenths of the places, so that there is room for the first calls of another; while others have
    calls under way it gets no more once it has half of them. Used on one event loop.

    ``in_use`` is how many attempts are under way.
    """

    places: int = PLACES
    in_use: int = field(init=False, default=0)
    _taken: dict[TenantId, int] = field(init=False, default_factory=dict)
    _emptied: asyncio.Event | None = field(init=False, default=None)

    @contextmanager
    def place(self, tenant: TenantId, share: float = 1.0) -> Iterator[bool]:
        """Hold a place while the context lasts; gives ``False`` when there is none.

        :param share: how much of the places there are just now, above 0
        """
        own = self._taken.get(tenant, 0)
        if not self._has_room(own, max(1, int(self.places * share))):
            yield False
            return
        self._taken[tenant] = own + 1
        self.in_use += 1
        try:
            yield True
        finally:
            self._leave(tenant)

    async def emptied(self) -> None:
        """Return when no attempt is under way."""
        if self._taken:
            self._emptied = asyncio.Event()
            await self._emptied.wait()

    def _has_room(self, own: int, places: int) -> bool:
        is_alone = len(self._taken) == (own > 0)
        allowed = max(1, int(places * (SHARE_ALONE if is_alone else SHARE_AMONG_OTHERS)))
        return own < allowed and self.in_use < places

    def _leave(self, tenant: TenantId) -> None:
        self.in_use -= 1
        self._taken[tenant] -= 1
        if not self._taken[tenant]:
            del self._taken[tenant]
        if self._emptied is not None and not self._taken:
            self._emptied.set()
