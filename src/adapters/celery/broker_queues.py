"""Declaring queues in RabbitMQ, and asking how much waits in them."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final

from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import AMQPChannelError, ChannelNotFoundEntity

from encola.adapters.celery.backlog import Backlog
from encola.adapters.celery.topology import (
    DEAD_EXCHANGE,
    DEAD_QUEUE,
    QueueType,
    dead_queue_arguments,
    queue_arguments,
)

logger = logging.getLogger(__name__)

SURVEY_SECONDS: Final = 0.25
# RabbitMQ reads nothing of a publisher while it is short of memory or disk, which is no reason to
# disconnect at once.
ANSWER_SECONDS: Final = 30.0
QUEUES_REMEMBERED: Final = 10_000


class BrokerQueues:
    """The queues as one connection knows them; what goes wrong with one of them harms no other."""

    def __init__(self, connection: AbstractConnection, queue_type: QueueType) -> None:
        self._connection = connection
        self._queue_type: QueueType = queue_type
        self.declared: set[str] = set()

    async def declare(self, queue: str) -> None:
        """Make sure that the queue is there, as far as we may."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._channel() as channel:
                if self._queue_type == "quorum":
                    await self._declare_dead_letters(channel)
                arguments = queue_arguments(self._queue_type)
                await channel.queue_declare(queue, durable=True, arguments=arguments)
        except (AMQPChannelError, TypeError, ValueError) as error:
            # It may be there in another shape, or we may not declare, or its name is none for AMQP: a
            # message that finds no queue comes back all the same.
            logger.error("queue %r cannot be declared (%s)", queue, type(error).__name__)
        if len(self.declared) >= QUEUES_REMEMBERED:
            self.declared.clear()
        self.declared.add(queue)

    async def survey(self, backlog: Backlog) -> None:
        """Keep the backlog up to date, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SURVEY_SECONDS)
            if not backlog.in_question(loop.time()):
                continue
            try:
                async with self._channel() as channel:
                    await self._survey(channel, backlog)
            except ChannelNotFoundEntity:
                pass

    async def _survey(self, channel: AbstractChannel, backlog: Backlog) -> None:
        loop = asyncio.get_running_loop()
        while queues := backlog.in_question(loop.time()):
            for queue in queues:
                included = backlog.sent_to(queue)
                try:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        found = await channel.queue_declare(queue, passive=True)
                except ChannelNotFoundEntity:
                    self.declared.discard(queue)
                    backlog.count(queue, 0, included)
                    raise
                backlog.count(queue, found.message_count or 0, included)
            await asyncio.sleep(SURVEY_SECONDS)

    async def _declare_dead_letters(self, channel: AbstractChannel) -> None:
        await channel.exchange_declare(DEAD_EXCHANGE, exchange_type="fanout", durable=True)
        await channel.queue_declare(
            DEAD_QUEUE, durable=True, arguments=dead_queue_arguments(self._queue_type)
        )
        await channel.queue_bind(DEAD_QUEUE, DEAD_EXCHANGE)

    @asynccontextmanager
    async def _channel(self) -> AsyncGenerator[AbstractChannel, None]:
        async with asyncio.timeout(ANSWER_SECONDS):
            channel = await self._connection.channel(publisher_confirms=False)
        try:
            yield channel
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await channel.close()
