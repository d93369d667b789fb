"""Where Redis is, and how to connect to it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, parse_url

from encola.domain.errors import InvalidSettings

CONNECT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Node:
    """A Redis server; its text form shows no credentials."""

    options: Mapping[str, Any]

    @classmethod
    def of(cls, url: str) -> "Node":
        """Return the node that the URL (``redis``, ``rediss`` or ``unix``) means.

        :raises InvalidSettings: it is not such a URL
        """
        try:
            return cls(dict(parse_url(url)))
        except ValueError:
            raise InvalidSettings(
                "ENCOLA_REDIS_URL must be redis://, rediss:// or unix://, as in redis://127.0.0.1:6379/0."
            ) from None

    def at(self, host: str, port: int) -> "Node":
        """Return the node of the same kind at another address."""
        return replace(self, options={**self.options, "host": host, "port": port})

    async def connect(self) -> AbstractConnection:
        """Return a new connection, authenticated and ready, whose replies are bytes."""
        options = dict(self.options)
        make = options.pop("connection_class", Connection)
        connection: AbstractConnection = make(
            # A connection that is silent is not in trouble: who asks sets a limit to the answer.
            **{"socket_connect_timeout": CONNECT_SECONDS, **options, "socket_timeout": None, "protocol": 2}
        )
        await connection.connect()  # type: ignore[no-untyped-call]
        return connection

    def __str__(self) -> str:
        if "path" in self.options:
            return f"Redis at {self.options['path']}"
        return f"Redis at {self.options.get('host', 'localhost')}:{self.options.get('port', 6379)}"
