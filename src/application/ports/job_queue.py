"""Carrying jobs to workers."""

from typing import Protocol

from encola.domain.job import Job


class JobQueue(Protocol):
    """Carries a job to some worker at least once; it is not the truth about it."""

    async def publish(self, job: Job) -> None:
        """Take the job over; returning confirms it.

        :raises Overloaded: it cannot be taken now; nobody will receive it
        """
        ...

    def capacity(self) -> int:
        """Return how many more jobs it makes sense to publish now; zero or less is none."""
        ...


class JobDeliveries(Protocol):
    """The worker's end of a queue."""

    async def receive(self) -> Job:
        """Wait for a job and return it as it was published; it may have changed since."""
        ...
