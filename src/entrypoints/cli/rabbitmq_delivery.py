"""Sending RabbitMQ a message and getting it back, through a queue that is gone afterwards."""

import asyncio
from typing import Final
from uuid import uuid4

from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from aiormq.exceptions import ChannelAccessRefused

from encola.entrypoints.cli.findings import Finding

ANSWER_SECONDS: Final = 2.0

_NAME: Final = "rabbitmq delivery"
_PERMISSIONS_FIX: Final = "rabbitmqctl set_permissions -p <virtual host> <user> '.*' '.*' '.*'"
_ALARM_FIX: Final = "free memory or disk on its machine; rabbitmq-diagnostics alarms says which"


async def delivery(connection: AbstractConnection) -> Finding:
    """Say whether we may declare, publish and consume, and whether who publishes is heard now.

    :raises TimeoutError: something took too long, and the broker did not say why
    """
    queue = f"encola.doctor.{uuid4().hex}"
    doing = "declare queues"
    try:
        channel = await connection.channel()
        await channel.queue_declare(queue, exclusive=True, timeout=ANSWER_SECONDS)
        doing = "publish"
        await _publish(channel, queue)
        doing = "consume"
        await _consume(channel, queue)
        await channel.queue_delete(queue, timeout=ANSWER_SECONDS)
    except ChannelAccessRefused:
        message = f"our user may not {doing}"
        return Finding(name=_NAME, status="fail", message=message, fix=_PERMISSIONS_FIX)
    except TimeoutError:
        if not await _is_blocked(connection):
            raise
        message = "an alarm blocks everybody who publishes"
        return Finding(name=_NAME, status="fail", message=message, fix=_ALARM_FIX)
    return Finding(name=_NAME, status="ok", message="a message came back")


async def _publish(channel: AbstractChannel, queue: str) -> None:
    async with asyncio.timeout(ANSWER_SECONDS):
        await channel.basic_publish(b"", routing_key=queue, mandatory=True)


async def _consume(channel: AbstractChannel, queue: str) -> None:
    arrived = asyncio.Event()

    async def take(message: DeliveredMessage) -> None:
        arrived.set()

    async with asyncio.timeout(ANSWER_SECONDS):
        await channel.basic_consume(queue, take, no_ack=True)
        await arrived.wait()


async def _is_blocked(connection: AbstractConnection) -> bool:
    """Tell whether the broker said that it does not read from us."""
    try:
        async with asyncio.timeout(0):
            await connection.ready()
    except TimeoutError:
        return True
    return False
