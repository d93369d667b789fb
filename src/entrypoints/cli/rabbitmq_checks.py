"""What ``encola doctor`` asks RabbitMQ."""

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qs, urlsplit

import aiormq
from aiormq.abc import AbstractConnection
from aiormq.exceptions import (
    AMQPChannelError,
    AMQPError,
    AuthenticationError,
    ChannelPreconditionFailed,
    InvalidFrameError,
    ProbableAuthenticationError,
)

from encola.entrypoints.cli.findings import Finding
from encola.entrypoints.cli.rabbitmq_delivery import delivery
from encola.entrypoints.cli.troubles import Trouble, examined, place_of

QueueType: TypeAlias = Literal["classic", "quorum"]

CONNECT_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 1.0
ALL_ANSWERS_SECONDS: Final = 10.0
OLDEST_RABBITMQ: Final = (3, 10)
UNTRIED_RABBITMQ: Final = (5,)
CONSUMER_TIMEOUT_SECONDS: Final = 1800
CONSUMER_TIMEOUT_CHECK_SECONDS: Final = 60


class _VirtualHostRefused(Exception):
    """The user was let in, but not to the virtual host."""


_SILENT: Final = (
    "does not answer in time",
    "see whether it is stopped, overloaded or without the TLS of amqps://, or correct ENCOLA_AMQP_URL",
)
_STRANGER: Final = ("is not RabbitMQ, or not at this port", "correct ENCOLA_AMQP_URL")
_REFUSED: Final = (
    "refuses the user or the password",
    "correct the user and the password in ENCOLA_AMQP_URL; guest may only come from the same machine",
)
_TROUBLES: Final = (
    Trouble(AuthenticationError, *_REFUSED),
    Trouble(ProbableAuthenticationError, *_REFUSED),
    Trouble(
        _VirtualHostRefused,
        "refuses the virtual host",
        "correct it in ENCOLA_AMQP_URL (after the last /), or rabbitmqctl set_permissions"
        " -p <virtual host> <user> '.*' '.*' '.*'",
    ),
    Trouble(
        ssl.SSLError,
        "speaks no TLS, or has a certificate that is not trusted",
        "correct ENCOLA_AMQP_URL (amqps:// is TLS), or name the authority there by ?cafile=<file>",
    ),
    Trouble(TimeoutError, *_SILENT),
    Trouble(OSError, "cannot be reached", "start it, or correct ENCOLA_AMQP_URL"),
    Trouble(AMQPError, *_STRANGER),
    Trouble(ValueError, "is no URL of RabbitMQ", "set ENCOLA_AMQP_URL like amqp://<host>:5672/, or amqps://"),
)


async def examine_rabbitmq(
    url: str,
    *,
    queue_type: QueueType,
    queues: Sequence[str],
    early_ack_seconds: float,
) -> list[Finding]:
    """Return what is found of RabbitMQ; ``queues`` are those that may be there already."""
    with _unlogged():
        questions = _questions(url, queue_type, queues, early_ack_seconds)
        return await examined("rabbitmq", url, questions, _TROUBLES, seconds=ALL_ANSWERS_SECONDS)


async def _questions(
    url: str, queue_type: QueueType, queues: Sequence[str], early_ack_seconds: float
) -> AsyncGenerator[Finding, None]:
    async with _connected(url) as connection:
        yield _version(connection, place_of(url))
        yield _heartbeat(url)
        yield _consumer_timeout(early_ack_seconds)
        yield await _queue_types(connection, queue_type, queues)
        yield await delivery(connection)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AbstractConnection]:
    if urlsplit(url).scheme not in ("amqp", "amqps"):
        raise ValueError("no AMQP")
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await aiormq.connect(url)
    except InvalidFrameError as error:
        # The library does not know the refusal for an answer, but says what it asked.
        if "Connection.OpenOk" in str(error):
            raise _VirtualHostRefused from error
        raise
    try:
        yield connection
    finally:
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await connection.close()


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep the library from logging what we report, and what may name the user."""
    logger = logging.getLogger("aiormq")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _version(connection: AbstractConnection, place: str) -> Finding:
    properties = connection.server_properties or {}
    product, version = str(properties.get("product")), str(properties.get("version"))
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    said = f"{product} {version} at {place}"
    if product != "RabbitMQ":
        return Finding(
            name="rabbitmq", status="warn", message=f"{said}, which is untried", fix="use RabbitMQ"
        )
    if numbers < OLDEST_RABBITMQ:
        return Finding(
            name="rabbitmq",
            status="fail",
            message=f"{said} is too old",
            fix="install RabbitMQ 3.10 or later",
        )
    if numbers >= UNTRIED_RABBITMQ:
        return Finding(
            name="rabbitmq", status="warn", message=f"{said} is untried", fix="use RabbitMQ 3.10 to 4"
        )
    return Finding(name="rabbitmq", status="ok", message=said)


def _heartbeat(url: str) -> Finding:
    asked = parse_qs(urlsplit(url).query).get("heartbeat")
    if asked == ["0"]:
        return Finding(
            name="rabbitmq heartbeat",
            status="warn",
            message="off: a connection that was cut is not noticed",
            fix="take heartbeat=0 out of ENCOLA_AMQP_URL",
        )
    return Finding(name="rabbitmq heartbeat", status="ok", message="on")


def _consumer_timeout(early_ack_seconds: float) -> Finding:
    """Say what the broker's limit must be, which it does not tell."""
    name, setting = "rabbitmq consumer_timeout", f"ENCOLA_EARLY_ACK_SECONDS={early_ack_seconds:g}"
    needed = early_ack_seconds + CONSUMER_TIMEOUT_CHECK_SECONDS
    if needed <= CONSUMER_TIMEOUT_SECONDS:
        message = f"must be above {setting}; without a setting it is {CONSUMER_TIMEOUT_SECONDS} s"
        return Finding(name=name, status="ok", message=message)
    return Finding(
        name=name,
        status="warn",
        message=f"is {CONSUMER_TIMEOUT_SECONDS} s without a setting, too little for {setting}",
        fix=f"consumer_timeout = {needed * 1000:.0f} in rabbitmq.conf, or a lower ENCOLA_EARLY_ACK_SECONDS",
    )


async def _queue_types(
    connection: AbstractConnection, queue_type: QueueType, queues: Sequence[str]
) -> Finding:
    others = [queue for queue in queues if await _is_other_type(connection, queue, queue_type)]
    if not others:
        return Finding(name="rabbitmq queues", status="ok", message=f"none is other than {queue_type}")
    return Finding(
        name="rabbitmq queues",
        status="fail",
        message=f"not {queue_type}, as ENCOLA_QUEUE_TYPE says: {', '.join(others)}",
        fix=f"rabbitmqctl delete_queue {others[0]} (what waits there is published again),"
        " or set ENCOLA_QUEUE_TYPE to the other type",
    )


async def _is_other_type(connection: AbstractConnection, queue: str, queue_type: QueueType) -> bool:
    """Tell whether the queue is there and of the other type. Where we may not ask, it is taken for right."""
    channel = await connection.channel()
    try:
        await channel.queue_declare(queue, passive=True)
        # It is there, so that this does not make it.
        await channel.queue_declare(queue, durable=True, arguments={"x-queue-type": queue_type})
    except ChannelPreconditionFailed as error:
        # The other arguments of a queue that is right are not named here, and differ too.
        return "'x-queue-type'" in str(error)
    except AMQPChannelError:
        return False
    await channel.close()
    return False
