"""News of circuits between processes, on pub/sub of Redis."""

import asyncio
import secrets
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final

from encola.adapters.redis.circuit_words import CircuitWords, Untold, Word, milliseconds, spell
from encola.adapters.redis.link import RedisLink
from encola.adapters.redis.links import RedisLinks
from encola.adapters.redis.scripts import Script
from encola.adapters.redis.subscriber import RedisSubscriber
from encola.application.ports import CircuitBoard, CircuitNews, HeardNews
from encola.domain.errors import StoreUnavailable

PROBE_SECONDS: Final = 0.25
TELL_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 1.0
CLOSED_KEPT: Final = 120.0
SETTLED_SECONDS: Final = 1.0

_TELL: Final = Script.load("circuit_tell")
_PROBE: Final = Script.load("circuit_probe")


class RedisCircuitBoard(CircuitBoard):
    """Tells by pub/sub, and keeps the latest word on each service under a key for whoever missed it.

    The keys are looked at every second, and at once when the connection is back. What could not be
    told is told when Redis is back, if it still holds. All of it is in the first shard.

    :param services: whose circuits there are
    """

    def __init__(self, links: RedisLinks, services: Sequence[str]) -> None:
        self._link: RedisLink
        self._link, keys = links.all()[0]
        self._channel = keys.own("circuits")
        self._kept = {service: keys.own(f"circuit:{service}") for service in services}
        self._probes = {service: keys.own(f"circuit-probe:{service}") for service in services}
        self._subscriber = RedisSubscriber(links.connect, self._hear, self._missed)
        self._words = CircuitWords(secrets.token_hex(8), monotonic)
        self._is_to_tell = asyncio.Event()
        self._is_to_look = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._heard: HeardNews = lambda news: None

    def open(self) -> None:
        """Begin to listen; Redis need not be there yet."""
        self._subscriber.open()
        self._subscriber.hold(self._channel.encode())
        self._tasks = [asyncio.create_task(self._tell_all()), asyncio.create_task(self._look_all())]

    async def close(self) -> None:
        """Disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._subscriber.close()

    def tell(self, news: CircuitNews) -> None:
        if news.service in self._kept:
            self._words.note(news)
            self._is_to_tell.set()

    def listen(self, heard: HeardNews) -> None:
        self._heard = heard

    async def may_probe(self, service: str, seconds: float) -> bool:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                arguments: list[str | int] = [self._words.teller, milliseconds(seconds)]
                return bool(await self._link.script(_PROBE, [self._probes[service]], arguments))
        except (StoreUnavailable, TimeoutError):
            return True

    async def _tell_all(self) -> None:
        while True:
            await self._is_to_tell.wait()
            self._is_to_tell.clear()
            try:
                async with asyncio.timeout(TELL_SECONDS):
                    for untold, news in self._words.untold():
                        await self._tell(untold, news)
            except (StoreUnavailable, TimeoutError):
                await asyncio.sleep(LOOK_SECONDS)
                self._is_to_tell.set()

    async def _tell(self, untold: Untold, news: CircuitNews) -> None:
        keys = [self._kept[news.service], self._probes[news.service]]
        kept = milliseconds(news.open_seconds or CLOSED_KEPT)
        # Until then everybody has heard that it is closed, and nobody asks for leave to probe.
        probe = milliseconds(news.open_seconds or SETTLED_SECONDS)
        arguments: list[str | int] = [self._channel, spell(news, self._words.teller), kept, probe]
        self._words.told(untold, int(await self._link.script(_TELL, keys, arguments)))
        self._is_to_look.set()  # what others told in the meantime was not heard

    def _hear(self, channel: bytes, data: bytes) -> None:
        self._report(Word.read(data))

    def _missed(self, channel: bytes) -> None:
        self._words.forget_numbers()
        self._is_to_look.set()

    def _report(self, word: Word, clock: int | None = None) -> None:
        if word.service in self._kept and (news := self._words.hear(word, clock)):
            self._heard(news)

    async def _look_all(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._is_to_look.wait()
            except TimeoutError:
                pass
            self._is_to_look.clear()
            try:
                async with asyncio.timeout(TELL_SECONDS):
                    await self._look()
            except (StoreUnavailable, TimeoutError):
                pass

    async def _look(self) -> None:
        if not self._kept:
            return
        time: Any
        kept: Any
        time, kept = await asyncio.gather(
            self._link.call("TIME"), self._link.call("MGET", *self._kept.values())
        )
        clock = int(time[0]) * 1_000_000 + int(time[1])
        for data in kept:
            if data is not None:
                self._report_kept(data, clock)

    def _report_kept(self, data: bytes, clock: int) -> None:
        try:
            word = Word.read(data)
        except ValueError:
            return  # another version may keep it in its own way
        self._report(word, clock)
