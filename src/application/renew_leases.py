"""Keeping the leases of what runs here."""

from dataclasses import dataclass
from datetime import timedelta

from encola.application.attempt import Attempt
from encola.application.ports import Clock, Lease, WorkBoard


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewLeases:
    """Extend the lease of every running attempt, and fence those that lost theirs."""

    board: WorkBoard
    clock: Clock
    running: dict[Lease, Attempt]
    lease: timedelta = timedelta(seconds=30)

    async def __call__(self) -> int:
        """Renew all and return how many were lost."""
        leases = list(self.running)
        if not leases:
            return 0
        lost = await self.board.renew(leases, self.clock.now() + self.lease)
        for lease in lost:
            attempt = self.running.get(lease)
            if attempt is not None:
                await attempt.verify()
        return len(lost)
