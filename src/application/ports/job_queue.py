"""Carrying jobs to workers."""

from typing import Protocol

from encola.domain.job import Job


class JobQueue(Protocol):
    """Carries a job to some worker at least once; it is not the truth about it."""

    async def publish(self, job: Job) -> None:
        """Take the job over; returning confirms it.

        :raises Overloaded: it cannot be taken now; whether somebody receives it is not known
        """
        ...

    def post(self, job: Job) -> None:
        """Carry the job as soon as possible, without saying what came of it. Never waits or raises."""
        ...

    def capacity(self) -> int:
        """Return how many more jobs it makes sense to publish now; zero or less is none."""
        ...

    def full(self) -> frozenset[str]:
        """Return the names of queues that have enough for now; jobs of others may be published."""
        ...


class JobDeliveries(Protocol):
    """The worker's end of a queue."""

    async def receive(self) -> Job:
        """Wait for a job and return it as it was published; it may have changed since."""
        ...
