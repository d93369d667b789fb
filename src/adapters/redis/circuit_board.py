"""News of circuits between processes, on pub/sub of Redis."""

import asyncio
import secrets
from collections.abc import Sequence
from itertools import count
from typing import Any, Final

from encola.adapters.redis.link import RedisLink
from encola.adapters.redis.links import RedisLinks
from encola.adapters.redis.subscriber import RedisSubscriber
from encola.application.ports import CircuitBoard, CircuitNews, HeardNews
from encola.domain.errors import StoreUnavailable

PROBE_SECONDS: Final = 0.25
TELL_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 1.0
CLOSED_KEPT: Final = 120.0


class RedisCircuitBoard(CircuitBoard):
    """Tells by pub/sub, and keeps the latest word on each service under a key for whoever missed it.

    The keys are looked at every second, and at once when the connection is back. A word that was seen
    before says nothing new, so an old one is never taken for news. All of it is in the first shard.

    :param services: whose circuits there are
    """

    def __init__(self, links: RedisLinks, services: Sequence[str]) -> None:
        self._link: RedisLink
        self._link, keys = links.all()[0]
        self._channel = keys.own("circuits").encode()
        self._words = {service: keys.own(f"circuit:{service}") for service in services}
        self._probes = {service: keys.own(f"circuit-probe:{service}") for service in services}
        self._subscriber = RedisSubscriber(links.connect, self._heard_word, lambda channel: self._look())
        self._owner = secrets.token_hex(8)
        self._numbers = count(1)
        self._seen: dict[str, bytes] = {}
        self._untold: dict[str, CircuitNews] = {}
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_to_look = asyncio.Event()
        self._heard: HeardNews = lambda news: None

    def open(self) -> None:
        """Begin to listen; Redis need not be there yet."""
        self._subscriber.open()
        self._subscriber.hold(self._channel)
        self._tasks = [asyncio.create_task(self._tell_all()), asyncio.create_task(self._look_all())]

    async def close(self) -> None:
        """Disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._subscriber.close()

    def tell(self, news: CircuitNews) -> None:
        if news.service in self._words:
            self._untold[news.service] = news
            self._wake.set()

    def listen(self, heard: HeardNews) -> None:
        self._heard = heard

    async def may_probe(self, service: str, seconds: float) -> bool:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                key = self._probes[service]
                taken = await self._link.call("SET", key, self._owner, "NX", "PX", _milliseconds(seconds))
                return taken is not None or await self._link.call("GET", key) == self._owner.encode()
        except (StoreUnavailable, TimeoutError):
            return True

    async def _tell_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._untold:
                _, news = self._untold.popitem()
                try:
                    async with asyncio.timeout(TELL_SECONDS):
                        await self._tell(news)
                except (StoreUnavailable, TimeoutError):
                    pass  # then every process finds out by itself

    async def _tell(self, news: CircuitNews) -> None:
        word = _word(news, f"{self._owner}-{next(self._numbers)}")
        self._seen[news.service] = word
        kept = news.open_seconds or CLOSED_KEPT
        await self._link.call("SET", self._words[news.service], word, "PX", _milliseconds(kept))
        await self._link.call("PUBLISH", self._channel, word)

    def _heard_word(self, channel: bytes, word: bytes) -> None:
        news, name = _news(word)
        if not name.startswith(self._owner) and self._is_new(news.service, word):
            self._heard(news)

    def _is_new(self, service: str, word: bytes) -> bool:
        if service not in self._words or self._seen.get(service) == word:
            return False
        self._seen[service] = word
        return True

    def _look(self) -> None:
        self._is_to_look.set()

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
                    await self._look_once()
            except (StoreUnavailable, TimeoutError):
                pass

    async def _look_once(self) -> None:
        if not self._words:
            return
        words: Any = await self._link.call("MGET", *self._words.values())
        for service, word in zip(self._words, words, strict=True):
            if word is not None and self._is_new(service, word):
                await self._report(service, word)

    async def _report(self, service: str, word: bytes) -> None:
        news, _ = _news(word)
        if news.open_seconds:
            left: Any = await self._link.call("PTTL", self._words[service])
            news = CircuitNews(service, left / 1000)
        if news.open_seconds >= 0:
            self._heard(news)


def _word(news: CircuitNews, name: str) -> bytes:
    return f"{news.service} {_milliseconds(news.open_seconds)} {name}".encode()


def _news(word: bytes) -> tuple[CircuitNews, str]:
    """Return what a word says, and its name.

    :raises ValueError: it is none of ours
    """
    service, milliseconds, name = word.decode().split(" ")
    return CircuitNews(service, int(milliseconds) / 1000), name


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
