"""Stopping what runs here when somebody says so."""

from dataclasses import dataclass

from encola.application.attempt import Attempt
from encola.application.ports import Lease, StopSignals


@dataclass(frozen=True, slots=True, kw_only=True)
class HeedStops:
    """Fence the attempt that a signal names, if it is one of ours."""

    stops: StopSignals
    running: dict[Lease, Attempt]

    async def __call__(self) -> int:
        """Wait for one signal and return 1, for there may be more."""
        lease = await self.stops.receive()
        attempt = self.running.get(lease)
        if attempt is not None:
            attempt.fence()
        return 1
