"""People who watch one job, and go on elsewhere with their cursor when the connection ends."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

from tests.chaos.front import backoff
from tests.chaos.plan import Channel

CONNECT_SECONDS = 3.0
SILENCE_SECONDS = 6.0
AWAY = 503
NOTHING_MORE = 204

Event = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Watch:
    """What one watcher saw.

    :ivar faults: what no watcher should see, as sentences
    """

    tenant: str
    job_id: str
    channel: Channel
    received: list[Event] = field(default_factory=list)
    connections: int = 0
    faults: list[str] = field(default_factory=list)
    text: str = ""
    text_attempt: int = 0

    @property
    def is_over(self) -> bool:
        """Tell whether the watcher saw the end."""
        return bool(self.received) and bool(self.received[-1]["final"])

    @property
    def cursor(self) -> tuple[int, str | None]:
        """Return number and epoch of the last event."""
        return (self.received[-1]["seq"], self.received[-1]["epoch"]) if self.received else (0, None)

    def see(self, event: Event) -> None:
        """Note an event, and whatever is wrong with its place."""
        if event["job_id"] != self.job_id:
            self.faults.append(f"an event of another job came: {event}")
            return
        if self.is_over:
            self.faults.append(f"event {event['seq']} came after the end")
        last, epoch = self.cursor
        if event["seq"] != last + 1 or epoch not in (None, event["epoch"]):
            self.faults.append(f"after event {epoch}:{last} came {event['epoch']}:{event['seq']}")
        self.received.append(event)

    def hear(self, chunk: Event) -> None:
        """Note a piece of partial output."""
        if chunk["job_id"] != self.job_id:
            self.faults.append(f"output of another job came: {chunk}")
        elif chunk["offset"] == 0 and chunk["attempt"] >= self.text_attempt:
            self.text, self.text_attempt = chunk["text"], chunk["attempt"]
        elif (chunk["attempt"], chunk["offset"]) == (self.text_attempt, len(self.text)):
            self.text += chunk["text"]
        else:
            self.faults.append(f"output does not continue {self.text_attempt}:{len(self.text)}: {chunk}")


class Watchers:
    """All who watch, over connections of their own."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self._tasks: set[asyncio.Task[None]] = set()
        # One client for all, since making one takes longer than most jobs do.
        timeout = httpx.Timeout(CONNECT_SECONDS, read=SILENCE_SECONDS)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._client = httpx.AsyncClient(timeout=timeout, limits=limits)

    def add(self, watch: Watch, first: int) -> None:
        """Begin to watch, at the API of that number."""
        task = asyncio.create_task(self._follow(watch, first))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self, seconds: float) -> None:
        """Return when each saw the end; those that do not within ``seconds`` are stopped."""
        tasks = list(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _follow(self, watch: Watch, first: int) -> None:
        turn, fruitless = first, 0
        while not watch.is_over:
            url = self._urls[turn % len(self._urls)]
            had = watch.connections
            if watch.channel == "websocket":
                await _over_websocket(watch, url)
            else:
                await _over_sse(watch, url, self._client)
            turn += 1
            fruitless = 1 if watch.connections > had else fruitless + 1
            if not watch.is_over:
                await asyncio.sleep(backoff(fruitless))
        if watch.channel == "sse":
            await _nothing_follows(watch, self._urls, turn, self._client)


async def _over_websocket(watch: Watch, url: str) -> None:
    seq, epoch = watch.cursor
    query = {"since": seq, "tenant_id": watch.tenant, **({"epoch": epoch} if epoch else {})}
    address = f"{url.replace('http', 'ws', 1)}/api/ws/jobs/{watch.job_id}?{urlencode(query)}"
    try:
        async with connect(
            address,
            compression=None,
            open_timeout=CONNECT_SECONDS,
            ping_interval=CONNECT_SECONDS / 2,
            ping_timeout=CONNECT_SECONDS,
            close_timeout=1,
        ) as socket:
            watch.connections += 1
            async for frame in socket:
                watch.see(json.loads(frame))
                if watch.is_over:
                    return
    except InvalidStatus as refusal:
        if refusal.response.status_code != AWAY:
            watch.faults.append(f"the socket was refused with {refusal.response.status_code}")
    except (OSError, EOFError, InvalidHandshake, WebSocketException):
        return


async def _over_sse(watch: Watch, url: str, client: httpx.AsyncClient) -> None:
    try:
        async with client.stream("GET", _events(watch, url), headers=_headers(watch)) as answer:
            if answer.status_code != 200:
                if answer.status_code != AWAY:
                    watch.faults.append(f"the stream was refused with {answer.status_code}")
                return
            watch.connections += 1
            await _read_frames(watch, answer)
    except httpx.TransportError:
        return


async def _read_frames(watch: Watch, answer: httpx.Response) -> None:
    kind = ""
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data" and kind == "output":
            watch.hear(json.loads(value))
        elif name == "data":
            watch.see(json.loads(value))


async def _nothing_follows(watch: Watch, urls: Sequence[str], turn: int, client: httpx.AsyncClient) -> None:
    """Come back after the end, as browsers do: the answer must be that there is nothing more."""
    for tries in count(1):
        url = urls[turn % len(urls)]
        try:
            answer = await client.get(_events(watch, url), headers=_headers(watch))
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code != AWAY:
            if answer.status_code != NOTHING_MORE:
                watch.faults.append(f"a reconnect after the end was answered with {answer.status_code}")
            return
        turn += 1
        await asyncio.sleep(backoff(tries))


def _events(watch: Watch, url: str) -> str:
    return f"{url}/api/jobs/{watch.job_id}/events"


def _headers(watch: Watch) -> dict[str, str]:
    seq, epoch = watch.cursor
    resume = {"Last-Event-ID": f"{epoch}:{seq}"} if epoch else {}
    return {"X-Tenant-ID": watch.tenant, "Accept": "text/event-stream", **resume}
