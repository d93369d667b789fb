"""Publishing jobs to RabbitMQ in Celery's protocol."""

import asyncio
import logging
from collections import deque
from contextlib import suppress
from datetime import timedelta
from typing import Final

from aiormq.abc import AbstractConnection
from aiormq.exceptions import PublishError

from encola.adapters.celery.address import BrokerAddress
from encola.adapters.celery.backlog import Backlog
from encola.adapters.celery.broker_queues import BrokerQueues
from encola.adapters.celery.confirms import ConfirmedChannel, Parcel
from encola.adapters.celery.link import BrokerLink, close
from encola.adapters.celery.message import task_message
from encola.adapters.celery.topology import QueueType
from encola.application.ports import JobQueue
from encola.domain.errors import Overloaded
from encola.domain.job import Job

logger = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 2.0
BATCH_BYTES: Final = 256 * 1024


class CeleryJobQueue(JobQueue):
    """Messages for Celery workers, over one connection that comes back by itself.

    What is published in one turn of the loop leaves together. While RabbitMQ is away or takes
    nothing, ``capacity`` falls to zero, and rises again by itself.

    :param amqp_url: see :class:`~encola.adapters.celery.address.BrokerAddress`
    :param queue_type: in what kind of queue the messages wait; the workers must be told the same
    :param publish_ahead: how many may wait in one queue before it counts as full
    :param early_ack_after: the ``timeout`` above which a job's message is acknowledged when it starts
    :param window: how many messages may be on their way, unconfirmed
    :param publish_timeout: how long RabbitMQ may take to confirm one
    :raises InvalidSettings: the URL is not one of AMQP
    """

    def __init__(
        self,
        amqp_url: str,
        *,
        queue_type: QueueType = "classic",
        publish_ahead: int = 5_000,
        early_ack_after: timedelta = timedelta(minutes=25),
        window: int = 256,
        publish_timeout: timedelta = timedelta(seconds=5),
    ) -> None:
        self._link = BrokerLink(BrokerAddress.parse(amqp_url), self._serve)
        self._queue_type: QueueType = queue_type
        self._early_ack_after = early_ack_after
        self._window = window
        self._publish_seconds = publish_timeout.total_seconds()
        self._backlog = Backlog(publish_ahead)
        self._outgoing: deque[Parcel] = deque()
        self._wake = asyncio.Event()
        self._channel: ConfirmedChannel | None = None
        self._queues: BrokerQueues | None = None
        self._is_refused = False

    async def open(self) -> None:
        """Begin to connect; RabbitMQ need not be there yet."""
        self._wake = asyncio.Event()  # of this loop, whatever loop it was used on before
        self._wake.set()
        await self._link.open()

    async def close(self) -> None:
        """Let what is on its way be confirmed, for two seconds at most, and disconnect."""
        if self._channel is not None:
            parcels = [*self._outgoing, *self._channel.unconfirmed.values()]
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await asyncio.gather(*(parcel.awaited() for parcel in parcels), return_exceptions=True)
        await self._link.close()

    async def publish(self, job: Job) -> None:
        if self.capacity() <= 0:
            raise Overloaded("RabbitMQ takes no more messages now.")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._add(job, waiter)
            async with asyncio.timeout(self._publish_seconds):
                await waiter
        except Exception as error:
            raise Overloaded(f"RabbitMQ did not confirm the message ({type(error).__name__}).") from error

    def post(self, job: Job) -> None:
        try:
            self._add(job)
        except Exception as error:
            logger.error("job %s: no message can be made of it (%s)", job.id, type(error).__name__)

    def capacity(self) -> int:
        if self._channel is None:
            return 0
        return self._window - len(self._outgoing) - len(self._channel.unconfirmed)

    def full(self) -> frozenset[str]:
        return self._backlog.full

    def _add(self, job: Job, waiter: asyncio.Future[None] | None = None) -> None:
        message = task_message(job, early_ack_after=self._early_ack_after)
        if len(self._outgoing) >= self._window:
            return  # nobody who asked for the capacity comes here; the board gives the job again
        self._outgoing.append(Parcel(message, waiter))
        self._backlog.add(message.queue, asyncio.get_running_loop().time())
        self._wake.set()

    async def _serve(self, connection: AbstractConnection) -> None:
        queues = BrokerQueues(connection, self._queue_type)
        channel = await ConfirmedChannel.open(connection, self._refused)
        self._channel, self._queues, self._is_refused = channel, queues, False
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(channel, queues))
                group.create_task(queues.survey(self._backlog))
                group.create_task(_until_closed(channel, connection))
        finally:
            if self._channel is channel:
                self._channel = self._queues = None
            self._take_back(channel)

    async def _pump(self, channel: ConfirmedChannel, queues: BrokerQueues) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outgoing:
                queue = self._outgoing[0].message.queue
                if queue not in queues.declared:
                    await queues.declare(queue)
                await channel.send(self._next_batch(queues.declared))

    def _next_batch(self, declared: set[str]) -> list[Parcel]:
        batch: list[Parcel] = []
        size = 0
        while self._outgoing and size < BATCH_BYTES and self._outgoing[0].message.queue in declared:
            parcel = self._outgoing.popleft()
            if not parcel.is_unwanted:
                batch.append(parcel)
                size += len(parcel.message.body)
        return batch

    def _refused(self, parcel: Parcel, error: BaseException) -> None:
        if isinstance(error, PublishError) and self._queues is not None:
            self._queues.declared.discard(parcel.message.queue)  # it was deleted under our hands
        level = logging.DEBUG if self._is_refused else logging.WARNING
        logger.log(level, "job %s: RabbitMQ refused it (%s)", parcel.message.job_id, type(error).__name__)
        self._is_refused = True

    def _take_back(self, channel: ConfirmedChannel) -> None:
        """Keep what was posted for the next connection; a duplicate does no harm, a delay does."""
        undelivered = [*channel.unconfirmed.values(), *self._outgoing]
        for parcel in undelivered:
            parcel.settle(ConnectionError("the connection was lost"))
        self._outgoing = deque(parcel for parcel in undelivered if parcel.waiter is None)
        self._wake.set()


async def _until_closed(channel: ConfirmedChannel, connection: AbstractConnection) -> None:
    await asyncio.wait({channel.closing, connection.closing}, return_when=asyncio.FIRST_COMPLETED)
    # Whoever asks RabbitMQ for something hears of it now, and need not be cancelled, which aiormq
    # would answer by asking for more.
    await close(connection)
    raise ConnectionError("RabbitMQ closed the channel")
