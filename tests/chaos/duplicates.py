"""Messages that come again: at once, later, after the job has ended, and out of order."""

import asyncio
from contextlib import suppress
from random import Random

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import AMQPException, ChannelNotFoundEntity

QUEUES = ("agent_tasks", "embedding_tasks", "query_tasks")
COPY = "x-chaos-copy"
HELD_AT_ONCE = 20
LATEST_SECONDS = 6.0


async def redeliver(url: str, seconds: float, seed: int) -> None:
    """Compete with the workers for their messages, and give back each that is won twice, in any order."""
    chance = Random(seed)
    with suppress(AMQPException, OSError):
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=HELD_AT_ONCE)
            copier = _Copier(channel, chance)
            for name in QUEUES:
                with suppress(ChannelNotFoundEntity):
                    await copier.compete_for(await channel.get_queue(name))
            await asyncio.sleep(seconds)
            await copier.end()


class _Copier:
    def __init__(self, channel: AbstractChannel, chance: Random) -> None:
        self._channel = channel
        self._chance = chance
        self._consumers: list[tuple[AbstractQueue, str]] = []
        self._copying: set[asyncio.Task[None]] = set()

    async def compete_for(self, queue: AbstractQueue) -> None:
        self._consumers.append((queue, await queue.consume(self._take)))

    async def end(self) -> None:
        """Take no more, and return when all that was taken is given back."""
        for queue, tag in self._consumers:
            await queue.cancel(tag)
        await asyncio.gather(*self._copying)

    async def _take(self, message: AbstractIncomingMessage) -> None:
        if COPY in message.headers:
            await message.reject(requeue=True)
            return
        task = asyncio.create_task(self._copy(message))
        self._copying.add(task)
        task.add_done_callback(self._copying.discard)

    async def _copy(self, message: AbstractIncomingMessage) -> None:
        """Publish two copies, confirmed, before the original is let go."""
        later = self._chance.choice((0.0, self._chance.uniform(0, LATEST_SECONDS)))
        await self._publish(message)
        await asyncio.sleep(later)
        await self._publish(message)
        await message.ack()

    async def _publish(self, message: AbstractIncomingMessage) -> None:
        copy = aio_pika.Message(
            message.body,
            headers={**message.headers, COPY: 1},
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            correlation_id=message.correlation_id,
            delivery_mode=message.delivery_mode,
        )
        assert message.routing_key is not None
        await self._channel.default_exchange.publish(copy, message.routing_key)
