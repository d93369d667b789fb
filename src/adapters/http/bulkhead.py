"""How many attempts may be under way at one service, and how many of them for one tenant."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from encola.domain.context import TenantId

PLACES = 100
TENANT_SHARE = 0.5


@dataclass(slots=True)
class Bulkhead:
    """Bounds the attempts under way at one service, so that a slow one cannot take up everything.

    Nobody waits for a place: who gets none fails at once, and knows it. One tenant gets half of
    the places at most, so that there is always room for another. Used on one event loop.
    """

    places: int = PLACES
    _taken: Counter[TenantId] = field(init=False, default_factory=Counter)

    @property
    def in_use(self) -> int:
        """Return how many attempts are under way."""
        return self._taken.total()

    @contextmanager
    def place(self, tenant: TenantId) -> Iterator[bool]:
        """Hold a place while the context lasts; gives ``False`` when there is none."""
        if self.in_use >= self.places or self._taken[tenant] >= max(1, int(self.places * TENANT_SHARE)):
            yield False
            return
        self._taken[tenant] += 1
        try:
            yield True
        finally:
            self._taken[tenant] -= 1
            if not self._taken[tenant]:
                del self._taken[tenant]
