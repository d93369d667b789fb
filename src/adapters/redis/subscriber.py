"""One connection on which a process listens to channels of Redis."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection

from encola.adapters.redis.upkeep import Connect, Upkeep, until_one_ends
from encola.domain.errors import StoreUnavailable

logger = logging.getLogger(__name__)

CONFIRM_SECONDS: Final = 5.0
SILENCE_SECONDS: Final = 5.0
LINGER_SECONDS: Final = 10.0
BATCH: Final = 512
TURN: Final = 100


@dataclass(slots=True, eq=False)
class _Channel:
    """What is known of a channel; ``confirmed`` is of the present connection."""

    holders: int = 0
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)
    end: asyncio.TimerHandle | None = None


class RedisSubscriber:
    """Hears the channels that somebody holds, over a connection that is renewed when it is lost.

    ``heard`` is given the channel and the data of every message; what it raises ``ValueError`` for is
    dropped. ``missed`` is given a channel on which something may have been said that was not heard:
    when the connection is lost, once more when Redis has confirmed the channel on the next one, and
    when a message was dropped. Both run within the reading, so they must be quick. A connection that
    answers nothing for five seconds is taken for lost.

    A channel is left only ten seconds after nobody holds it any more, so that a stream of short
    visits costs one subscription.
    """

    def __init__(
        self, connect: Connect, heard: Callable[[bytes, bytes], None], missed: Callable[[bytes], None]
    ) -> None:
        self._upkeep = Upkeep("listening", connect, self._serve)
        self._heard = heard
        self._missed = missed
        self._channels: dict[bytes, _Channel] = {}
        self._is_connected = False
        self._is_silent = False
        self._outgoing: list[bytes] = []
        self._wake = asyncio.Event()
        self._dropped = 0

    def open(self) -> None:
        """Begin to connect; Redis need not be there yet."""
        self._upkeep.open()

    async def close(self) -> None:
        """Disconnect; nothing is heard any more."""
        await self._upkeep.close()
        for channel in self._channels.values():
            if channel.end is not None:
                channel.end.cancel()

    @asynccontextmanager
    async def listening(self, name: bytes) -> AsyncIterator[None]:
        """Hear the channel while the context lasts; everything said once it is entered is heard.

        :raises StoreUnavailable: Redis did not confirm the channel within five seconds
        """
        self.hold(name)
        try:
            await self.confirmed(name)
            yield
        finally:
            self.let_go(name)

    def hold(self, name: bytes) -> None:
        """Take an interest in the channel, without waiting until it can be heard."""
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = _Channel()
            self._send(b"SUBSCRIBE", name)
        if channel.end is not None:
            channel.end.cancel()
            channel.end = None
        channel.holders += 1

    async def confirmed(self, name: bytes) -> None:
        """Return when a channel that is held can be heard.

        :raises StoreUnavailable: Redis did not confirm it within five seconds
        """
        confirmed = self._channels[name].confirmed
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                while not confirmed.is_set():
                    await confirmed.wait()
        except TimeoutError:
            raise StoreUnavailable("Redis does not confirm the subscription.") from None

    def let_go(self, name: bytes) -> None:
        """End one interest in the channel."""
        channel = self._channels[name]
        channel.holders -= 1
        if channel.holders == 0:
            self._end_later(name, channel)

    def _end_later(self, name: bytes, channel: _Channel) -> None:
        channel.end = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._end, name, channel)

    def _end(self, name: bytes, channel: _Channel) -> None:
        if self._is_connected and not channel.confirmed.is_set():
            # The answer that is still to come must not be taken for that to a later question.
            self._end_later(name, channel)
            return
        del self._channels[name]
        self._send(b"UNSUBSCRIBE", name)

    def _send(self, *command: bytes) -> None:
        # Without a connection nothing needs to be said: the next one begins with all channels.
        if self._is_connected:
            self._outgoing.append(pack_command(command))  # type: ignore[arg-type]  # any length will do
            self._wake.set()

    async def _serve(self, connection: AbstractConnection) -> None:
        self._is_connected = True
        names = list(self._channels)
        for start in range(0, len(names), BATCH):
            self._send(b"SUBSCRIBE", *names[start : start + BATCH])
        try:
            await until_one_ends(self._write(connection), self._read(connection), self._watch())
        finally:
            self._is_connected = False
            self._outgoing.clear()
            for name, channel in self._channels.items():
                if channel.confirmed.is_set():
                    channel.confirmed.clear()
                    self._missed(name)

    async def _write(self, connection: AbstractConnection) -> None:
        # One task writes, for a write that is cancelled costs the connection.
        while True:
            await self._wake.wait()
            self._wake.clear()
            packed, self._outgoing = self._outgoing, []
            await connection.send_packed_command(packed, check_health=False)

    async def _read(self, connection: AbstractConnection) -> None:
        for number in count(1):
            message = await connection.read_response(disable_decoding=True, timeout=math.inf)
            self._is_silent = False
            match message:
                case [b"message", name, data]:
                    try:
                        self._heard(name, data)
                    except ValueError:
                        self._drop(name)
                case [b"subscribe", name, _]:
                    self._confirm(name)
            if number % TURN == 0:
                await asyncio.sleep(0)  # what has arrived already is read without waiting

    async def _watch(self) -> None:
        while True:
            self._is_silent = True
            self._send(b"PING")
            await asyncio.sleep(SILENCE_SECONDS)
            if self._is_silent:
                raise TimeoutError(f"silent for {SILENCE_SECONDS:g} s")

    def _drop(self, name: bytes) -> None:
        self._dropped += 1
        if self._dropped.bit_count() == 1:  # the first, second, fourth, eighth …
            logger.warning("dropped what nobody can read from %r (%d messages so far)", name, self._dropped)
        self._missed(name)

    def _confirm(self, name: bytes) -> None:
        channel = self._channels.get(name)
        if channel is not None:
            channel.confirmed.set()
            self._missed(name)
