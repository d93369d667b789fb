"""Telling workers to stop."""

from typing import Protocol

from encola.application.ports.work_board import Lease


class StopSignals(Protocol):
    """Tells whichever worker makes an attempt that it may write no more, as fast as it can.

    A signal may be lost, and may reach workers that know nothing of the attempt: the fence in the
    store is what protects the job, and a lease's renewal notices what was lost here.
    """

    async def send(self, lease: Lease) -> None:
        """Signal the end of an attempt. Never fails its caller, and never waits for a worker."""
        ...

    async def receive(self) -> Lease:
        """Wait for the next signal; one caller a process."""
        ...
