"""The client's side of all APIs together: who gets no answer from one asks the next."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

ANSWER_SECONDS = 3.0
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
AWAY = 503


def backoff(tries: int) -> float:
    """Return how long to wait after so many tries without an answer."""
    pause: float = FIRST_PAUSE_SECONDS * 2 ** min(tries - 1, 10)
    return min(pause, LONGEST_PAUSE_SECONDS)


class GaveUp(Exception):
    """No API gave an answer before the deadline."""


class Front:
    """Asks until it is answered, as a careful client does; notes answers that nobody should get.

    :ivar surprises: what was answered that is neither an answer nor "come back later"
    :ivar retries: how often something was asked again, by the reason
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = urls
        self.surprises: list[str] = []
        self.retries: Counter[str] = Counter()
        self._client = httpx.AsyncClient(
            timeout=ANSWER_SECONDS, limits=httpx.Limits(max_connections=200, max_keepalive_connections=50)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        tenant: str,
        start: int = 0,
        seconds: float = 90.0,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """Return the first answer, trying the API at ``start`` first; for what may be asked twice.

        :raises GaveUp: there was none in so many seconds
        """
        deadline = time.monotonic() + seconds
        named = {"X-Tenant-ID": tenant, **(headers or {})}
        turn = start
        while time.monotonic() < deadline:
            url = f"{self.urls[turn % len(self.urls)]}{path}"
            answer = await self._try(method, url, headers=named, **options)
            if answer is not None:
                return answer
            turn += 1
            await asyncio.sleep(backoff(turn - start))
        raise GaveUp(f"{method} {path}: no answer in {seconds:g} s")

    async def _try(self, method: str, url: str, **options: Any) -> httpx.Response | None:
        try:
            answer = await self._client.request(method, url, **options)
        except httpx.TransportError as error:
            self.retries[type(error).__name__] += 1
            return None
        if answer.status_code == AWAY:
            self.retries[str(AWAY)] += 1
            return None
        if answer.status_code >= 500:
            self.surprises.append(f"{method} {url}: {answer.status_code} {answer.text[:300]}")
            return None
        return answer
