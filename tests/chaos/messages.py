"""Messages that nobody should have to expect: known ones again and out of order, and foreign ones."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from random import Random
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import AMQPError

QUEUES = ("agent_tasks", "embedding_tasks", "query_tasks")
COPY = "x-chaos-copy"
HELD_AT_ONCE = 20
LATEST_SECONDS = 6.0
BROKEN = (AMQPError, OSError, RuntimeError)
"""What aio-pika raises when the connection or the channel is gone."""

FOREIGN: tuple[tuple[bytes, str, Mapping[str, Any]], ...] = (
    (b"\xff\xfe{", "application/json", {}),
    (b"cos\nsystem\n(S'true'\ntR.", "application/x-python-serialize", {"task": "encola.run", "id": "1"}),
    (b"[[], {}, {}]", "application/json", {"task": "somebody.elses", "id": "1"}),
    (b"[[], {}, {}]", "application/json", {"task": "encola.run", "id": "1"}),
    (b'[[{"id": "1"}], {}, {}]', "application/json", {"task": "encola.run", "id": "1", "tenant_id": "acme"}),
    (b"[" * 10_000, "application/json", {"task": "encola.run", "id": "1"}),
    (b"", "text/plain", {}),
)


async def redeliver(url: str, seconds: float, seed: int) -> int:
    """Compete with the workers for their messages, and give back each that is won twice, in any order.

    Return how many were given twice.
    """
    copiers: list[_Copier] = []
    with suppress(*BROKEN):
        async with await aio_pika.connect(url) as connection:
            for name in QUEUES:
                channel = await connection.channel()
                with suppress(*BROKEN):  # the queue may have been deleted
                    queue = await channel.get_queue(name)
                    copiers.append(_Copier(channel, queue, Random(seed)))
            for copier in copiers:
                await copier.begin()
            await asyncio.sleep(seconds)
            for copier in copiers:
                await copier.end()
    return sum(copier.copied for copier in copiers)


async def send_foreign(url: str) -> int:
    """Put what is no job of ours into every queue, and return how many messages that were."""
    sent = 0
    with suppress(*BROKEN):
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            for queue in QUEUES:
                for body, content_type, headers in FOREIGN:
                    message = aio_pika.Message(body, content_type=content_type, headers=dict(headers))
                    await channel.default_exchange.publish(message, queue, mandatory=False)
                    sent += 1
    return sent


class _Copier:
    def __init__(self, channel: AbstractChannel, queue: AbstractQueue, chance: Random) -> None:
        self._channel = channel
        self._queue = queue
        self._chance = chance
        self._tag = ""
        self._copying: set[asyncio.Task[None]] = set()
        self.copied = 0

    async def begin(self) -> None:
        await self._channel.set_qos(prefetch_count=HELD_AT_ONCE)
        self._tag = await self._queue.consume(self._take)

    async def end(self) -> None:
        """Take no more, and return when all that was taken is given back."""
        await self._queue.cancel(self._tag)
        await asyncio.gather(*self._copying, return_exceptions=True)

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
        with suppress(*BROKEN):
            await self._publish(message)
            await asyncio.sleep(later)
            await self._publish(message)
            await message.ack()
            self.copied += 1

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
