"""The links of all shards."""

from redis.asyncio.connection import AbstractConnection

from encola.adapters.redis.keys import Keys, shard_of
from encola.adapters.redis.link import RedisLink
from encola.adapters.redis.nodes import Node
from encola.domain.context import TenantId


class RedisLinks:
    """Knows which link leads to a tenant's shard, and how things are named there."""

    def __init__(self, url: str, shards: int = 1) -> None:
        self._node = Node.of(url)
        self._shards = [(RedisLink(self._node), Keys(shard)) for shard in range(shards)]

    def of(self, tenant: TenantId) -> tuple[RedisLink, Keys]:
        """Return the link and the names of the shard that keeps the tenant."""
        return self._shards[shard_of(tenant, len(self._shards))]

    def all(self) -> list[tuple[RedisLink, Keys]]:
        """Return the link and the names of every shard."""
        return list(self._shards)

    async def connect(self) -> AbstractConnection:
        """Return a new connection for one's own use, as for subscribing."""
        return await self._node.connect()

    async def open(self) -> None:
        """Begin to connect; Redis need not be there yet."""
        for link, _ in self._shards:
            await link.open()

    async def close(self) -> None:
        """Disconnect."""
        for link, _ in self._shards:
            await link.close()
