"""``python -m bench.distributed.clients.load PORT PATH BODY CONNECTIONS SECONDS``: requests per second.

For machines without wrk. It needs more of the processor than wrk does, so that rates come out lower.
"""

import asyncio
import json
import sys
import time

import httptools


class Connection(asyncio.Protocol):
    """Sends the next request when the last one is answered."""

    def __init__(self, request: bytes, until: float) -> None:
        self.answered = 0
        self.refused = 0
        self.closed = asyncio.get_running_loop().create_future()
        self._request = request
        self._until = until
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Send the first request."""
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Count the answer, and go on."""
        self.answered += 1
        self.refused += self._parser.get_status_code() >= 300
        if time.perf_counter() < self._until:
            self._transport.write(self._request)
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Say that it is over."""
        self.closed.set_result(error)


async def main(port: int, path: str, body: str, connections: int, seconds: float) -> dict[str, float]:
    """Return the rate, and how many were refused."""
    start = time.perf_counter()
    made = [
        (
            await asyncio.get_running_loop().create_connection(
                lambda: Connection(_request(path, body.encode()), start + seconds), "127.0.0.1", port
            )
        )[1]
        for _ in range(connections)
    ]
    errors = await asyncio.gather(*(one.closed for one in made))
    taken = time.perf_counter() - start
    refused = sum(one.refused for one in made) + sum(error is not None for error in errors)
    return {"rate": sum(one.answered for one in made) / taken, "refused": refused}


def _request(path: str, body: bytes) -> bytes:
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


if __name__ == "__main__":
    port, path, body, connections, seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(main(int(port), path, body, int(connections), float(seconds)))))
