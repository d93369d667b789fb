"""A channel on which RabbitMQ confirms every message."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

import aiormq
from aiormq.abc import AbstractConnection, ChannelFrame

from encola.adapters.celery.message import TaskMessage
from encola.adapters.celery.wire import PublishedFrames

logger = logging.getLogger(__name__)

OPEN_SECONDS: Final = 5.0

Confirmation = asyncio.Future[Any]


@dataclass(slots=True, eq=False)
class Parcel:
    """A message on its way; ``waiter`` is for whoever wants to know what came of it."""

    message: TaskMessage
    waiter: asyncio.Future[None] | None = None

    @property
    def is_unwanted(self) -> bool:
        """Tell whether the waiter gave up."""
        return self.waiter is not None and self.waiter.done()

    def awaited(self) -> asyncio.Future[None]:
        """Return the waiter; whoever posted the parcel may still become one."""
        if self.waiter is None:
            self.waiter = asyncio.get_running_loop().create_future()
        return self.waiter

    def settle(self, error: BaseException | None) -> None:
        """Tell the waiter, if there is one, what came of the message."""
        if self.waiter is None or self.waiter.done():
            return
        if error is None:
            self.waiter.set_result(None)
        else:
            self.waiter.set_exception(error)


class ConfirmedChannel:
    """Sends parcels together, and keeps each as ``unconfirmed`` until RabbitMQ has answered.

    It keeps aiormq's book of what awaits a confirmation by itself, because
    ``aiormq.Channel.basic_publish`` costs six times as much.

    :param refused: told of each parcel that was refused, with the reason, after its waiter
    """

    def __init__(self, channel: aiormq.Channel, refused: Callable[[Parcel, BaseException], None]) -> None:
        self._channel = channel
        self._refused = refused
        self._frames = PublishedFrames(channel.number, channel.max_content_size)
        self.unconfirmed: dict[int, Parcel] = {}

    @classmethod
    async def open(
        cls, connection: AbstractConnection, refused: Callable[[Parcel, BaseException], None]
    ) -> "ConfirmedChannel":
        """Open a channel of the connection.

        :raises TimeoutError: RabbitMQ did not open one, as when the connection was lost meanwhile, of
            which aiormq does not tell
        """
        async with asyncio.timeout(OPEN_SECONDS):
            return cls(cast(aiormq.Channel, await connection.channel()), refused)

    async def send(self, parcels: Sequence[Parcel]) -> None:
        """Send the parcels, and return when they have left for the network."""
        loop = asyncio.get_running_loop()
        payload = b"".join(self._frames_of(parcel, loop.create_future()) for parcel in parcels)
        left: asyncio.Future[None] = loop.create_future()
        await self._channel.write_queue.put(ChannelFrame(payload, should_close=False, drain_future=left))
        await left

    @property
    def closing(self) -> asyncio.Future[Any]:
        """Done when the channel is closed, whatever closed it."""
        return self._channel.closing

    def _frames_of(self, parcel: Parcel, confirmation: Confirmation) -> bytes:
        tag = self._channel.delivery_tag + 1
        try:
            frames = self._frames.encode(parcel.message, str(tag))
        except ValueError as error:
            self._settle(parcel, error)
            return b""
        self._channel.delivery_tag = tag
        self._channel.confirmations[tag] = confirmation
        # A message that comes back is known by its id.
        self._channel.message_id_delivery_tag[str(tag)] = tag
        self.unconfirmed[tag] = parcel
        confirmation.add_done_callback(partial(self._answered, tag))
        return frames

    def _answered(self, tag: int, confirmation: Confirmation) -> None:
        self._channel.message_id_delivery_tag.pop(str(tag), None)
        self._settle(self.unconfirmed.pop(tag), confirmation.exception())

    def _settle(self, parcel: Parcel, error: BaseException | None) -> None:
        parcel.settle(error)
        if error is not None:
            self._refused(parcel, error)
