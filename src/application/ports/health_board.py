"""What the processes tell each other of the services' health."""

from datetime import timedelta
from typing import Protocol

from encola.domain.health import ServiceHealth, Target


class HealthBoard(Protocol):
    """Keeps the latest health of each service for a while, and gives one process the turn to probe.

    It is about services and not about anybody's data, so there is no tenant. What is kept may be
    lost at any time.
    """

    async def read(self, target: Target) -> ServiceHealth | None:
        """Return what was noted last, or ``None`` when there is nothing."""
        ...

    async def take_turn(self, target: Target, *, ttl: timedelta) -> bool:
        """Return ``True`` to one caller: it may probe now. The turn is nobody's again after ``ttl``."""
        ...

    async def note(self, target: Target, health: ServiceHealth, *, pause: timedelta) -> None:
        """Keep what a probe said, and give nobody the turn until ``pause`` has passed."""
        ...
