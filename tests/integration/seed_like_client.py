"""A client that behaves as the first ones in the field do: no cursor, no header, simple reconnects."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

TERMINAL = ("job_completed", "job_error")
MAX_RECONNECTS = 5


class SeedLikeClient:
    """Subscribes to one job by its id alone, and calls back with whatever arrives.

    It closes by itself after a terminal message, reconnects after 2, 4, 8 … seconds when the socket
    closes before one, and gives up after five tries in a row. ``pace`` scales those seconds.
    """

    def __init__(self, base_url: str, *, pace: float = 1.0) -> None:
        self._socket_base = base_url.replace("http", "ws", 1)
        self._pace = pace
        self.connections = 0
        self.connected = asyncio.Event()

    async def subscribe(self, job_id: str, callback: Callable[[dict[str, Any]], None]) -> None:
        """Return when a terminal message has come.

        :raises ConnectionError: it gave up
        """
        failures = 0
        while failures <= MAX_RECONNECTS:
            try:
                async with connect(f"{self._socket_base}/ws/jobs/{job_id}", compression=None) as socket:
                    self.connections += 1
                    self.connected.set()
                    failures = 0
                    async for frame in socket:
                        message = json.loads(frame)
                        callback(message)
                        if message["type"] in TERMINAL:
                            return
            except (OSError, ConnectionClosed, InvalidStatus):
                pass
            failures += 1
            await asyncio.sleep(self._pace * min(2**failures, 30))
        raise ConnectionError(f"gave up on {job_id}")

    async def messages(self, job_id: str) -> list[dict[str, Any]]:
        """Return all messages up to the terminal one."""
        received: list[dict[str, Any]] = []
        await self.subscribe(job_id, received.append)
        return received
