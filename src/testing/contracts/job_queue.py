"""What every queue promises, from end to end."""

import asyncio

import pytest

from encola.application.ports import JobDeliveries, JobQueue
from encola.domain.context import JobId
from encola.domain.errors import Overloaded
from encola.domain.job import Job
from encola.domain.json_value import JSON
from encola.testing.builders import a_full_job, a_job, an_id
from encola.testing.contracts.steps import PATIENCE


async def receive(deliveries: JobDeliveries) -> Job:
    """Return the next delivery, or fail the test when none comes."""
    async with asyncio.timeout(PATIENCE):
        return await deliveries.receive()


async def receive_until(deliveries: JobDeliveries, last: JobId) -> list[JobId]:
    """Return the ids of what is delivered up to the last one."""
    received: list[JobId] = []
    while not received or received[-1] != last:
        received.append((await receive(deliveries)).id)
    return received


class JobQueueContract:
    """The promise of :class:`~encola.application.ports.JobQueue` and its ``JobDeliveries``.

    Subclass it and give the fixtures. The queue must have room for ten jobs at least; a queue that
    refuses none is tried with ``enough`` of them.
    """

    enough = 1_000

    @pytest.fixture
    def queue(self) -> JobQueue:
        """Return an empty queue."""
        raise NotImplementedError("return an empty queue")

    @pytest.fixture
    def deliveries(self) -> JobDeliveries:
        """Return the other end of ``queue``."""
        raise NotImplementedError("return the worker's end of the queue")

    async def test_a_job_arrives_as_it_was_published(
        self, queue: JobQueue, deliveries: JobDeliveries
    ) -> None:
        await queue.publish(a_full_job())

        assert await receive(deliveries) == a_full_job()

    async def test_every_published_job_arrives(self, queue: JobQueue, deliveries: JobDeliveries) -> None:
        wanted = {an_id(number) for number in range(10)}
        await asyncio.gather(*(queue.publish(a_job(number)) for number in range(10)))

        arrived: set[JobId] = set()
        while arrived != wanted:
            arrived.add((await receive(deliveries)).id)

    async def test_a_waiting_worker_is_woken(self, queue: JobQueue, deliveries: JobDeliveries) -> None:
        waiting = asyncio.create_task(receive(deliveries))
        await asyncio.sleep(0)

        await queue.publish(a_job())

        assert await waiting == a_job()

    async def test_giving_up_to_wait_loses_nothing(self, queue: JobQueue, deliveries: JobDeliveries) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await deliveries.receive()

        await queue.publish(a_job())

        assert await receive(deliveries) == a_job()

    async def test_the_queue_shares_no_object_with_its_callers(
        self, queue: JobQueue, deliveries: JobDeliveries
    ) -> None:
        params: list[JSON] = [1]
        await queue.publish(a_job(params=params))

        params.append(2)

        assert (await receive(deliveries)).params == [1]

    async def test_a_posted_job_arrives_as_it_was(self, queue: JobQueue, deliveries: JobDeliveries) -> None:
        queue.post(a_full_job())

        assert await receive(deliveries) == a_full_job()

    async def test_every_posted_job_arrives(self, queue: JobQueue, deliveries: JobDeliveries) -> None:
        for number in range(10):
            queue.post(a_job(number))

        arrived: set[JobId] = set()
        while arrived != {an_id(number) for number in range(10)}:
            arrived.add((await receive(deliveries)).id)

    async def test_a_posted_job_shares_no_object_with_its_caller(
        self, queue: JobQueue, deliveries: JobDeliveries
    ) -> None:
        params: list[JSON] = [1]
        queue.post(a_job(params=params))

        params.append(2)

        assert (await receive(deliveries)).params == [1]

    async def test_posting_takes_from_the_capacity_at_once(
        self, queue: JobQueue, deliveries: JobDeliveries
    ) -> None:
        before = queue.capacity()

        queue.post(a_job())

        assert queue.capacity() == before - 1
        assert await receive(deliveries) == a_job()

    async def test_a_queue_is_not_full_of_one_job(self, queue: JobQueue, deliveries: JobDeliveries) -> None:
        await queue.publish(a_job())

        assert queue.full() == frozenset()
        assert await receive(deliveries) == a_job()

    async def test_a_job_that_is_refused_reaches_nobody(
        self, queue: JobQueue, deliveries: JobDeliveries
    ) -> None:
        taken, refused = await self._fill(queue)
        first = await receive(deliveries)
        last = a_job(self.enough + 1)
        await queue.publish(last)

        received = [first.id, *await receive_until(deliveries, last.id)]

        assert set(received) == {*taken, last.id}
        assert not refused & set(received)

    async def test_capacity_shrinks_with_what_waits(self, queue: JobQueue, deliveries: JobDeliveries) -> None:
        assert queue.capacity() > 0
        _, refused = await self._fill(queue)
        if not refused:
            return

        assert queue.capacity() <= 0
        await receive(deliveries)
        assert queue.capacity() > 0

    async def _fill(self, queue: JobQueue) -> tuple[set[JobId], set[JobId]]:
        """Publish until one is refused; return the ids of those taken, and of the one refused."""
        taken: set[JobId] = set()
        for number in range(self.enough):
            try:
                await queue.publish(a_job(number))
            except Overloaded:
                return taken, {an_id(number)}
            taken.add(an_id(number))
        return taken, set()
