"""One connection to Redis that a whole process shares."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, TypeAlias

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError, NoScriptError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from encola.adapters.redis.nodes import Node
from encola.adapters.redis.scripts import Script
from encola.adapters.redis.upkeep import Upkeep, until_one_ends
from encola.domain.errors import StoreUnavailable

Argument: TypeAlias = bytes | str | int

ANSWER_SECONDS = 5.0
CONNECT_SECONDS = 1.0
MAX_WAITING = 20_000


class RedisLink:
    """Sends commands as they come and matches the replies in order.

    Many callers share the connection without waiting for each other, and what is asked for in one
    turn of the loop travels in one packet. A caller that gives up leaves the connection in order.
    A reply that does not come within five seconds ends the connection, for it may be half-open; then
    everybody who waits gets :class:`StoreUnavailable`, and the link connects anew. A ``MOVED`` reply
    sends it to the node that Redis Cluster names, since one link serves one slot.
    """

    def __init__(self, node: Node) -> None:
        self._home = self._node = node
        self._upkeep = Upkeep("commands", self._connect, self._serve)
        self._connection: AbstractConnection | None = None
        self._connected = asyncio.Event()
        self._outgoing: list[bytes] = []
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._wake = asyncio.Event()

    async def open(self) -> None:
        """Begin to connect; it need not succeed yet."""
        self._upkeep.open()

    async def close(self) -> None:
        """Disconnect; who still waits gets :class:`StoreUnavailable`."""
        await self._upkeep.close()

    async def call(self, *command: Argument) -> Any:
        """Return the reply to one command.

        :raises StoreUnavailable: Redis is away, too slow, or refuses; when only the reply was lost,
            the command may have been carried out
        """
        return await self._ask(command)

    async def script(self, script: Script, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script and return its reply.

        :raises StoreUnavailable: as with :meth:`call`
        """
        try:
            return await self._ask(("EVALSHA", script.sha, len(keys), *keys, *args))
        except NoScriptError:
            return await self._ask(("EVAL", script.text, len(keys), *keys, *args))

    async def _ask(self, command: Sequence[Argument]) -> Any:
        connection = self._connection or await self._connect_soon()
        if len(self._waiting) >= MAX_WAITING:
            raise StoreUnavailable("Redis has too many commands of this process to answer.")
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Any] = loop.create_future()
        self._outgoing.append(pack_command(tuple(command)))  # type: ignore[arg-type]  # any length will do
        self._waiting.append((reply, loop.time() + ANSWER_SECONDS))
        self._wake.set()
        try:
            return await reply
        except (NoScriptError, StoreUnavailable):
            raise
        except MovedError as moved:
            self._node = self._home.at(moved.host, moved.port)
            await connection.disconnect(nowait=True)
            raise StoreUnavailable("The shard has moved to another node.") from moved
        except ReadOnlyError as error:
            await connection.disconnect(nowait=True)  # it was the primary, and is no more
            raise StoreUnavailable("Redis is a replica now.") from error
        except RedisError as error:
            raise StoreUnavailable(f"Redis refuses: {error}") from error

    async def _connect_soon(self) -> AbstractConnection:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._connected.wait()
        except TimeoutError:
            pass
        if self._connection is None:
            raise StoreUnavailable(f"There is no connection to {self._home}.")
        return self._connection

    async def _connect(self) -> AbstractConnection:
        node, self._node = self._node, self._home  # where a node was that is gone, nobody says MOVED
        return await node.connect()

    async def _serve(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._connected.set()
        try:
            await until_one_ends(self._write(connection), self._read(connection), self._watch())
        finally:
            self._connection = None
            self._connected.clear()
            self._give_up()

    async def _write(self, connection: AbstractConnection) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            packed, self._outgoing = self._outgoing, []
            await connection.send_packed_command(packed, check_health=False)

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            try:
                answer = await connection.read_response(disable_decoding=True)
            except (RedisConnectionError, RedisTimeoutError):
                raise
            except RedisError as error:
                answer = error
            reply, _ = self._waiting.popleft()
            if reply.done():
                continue
            if isinstance(answer, Exception):
                reply.set_exception(answer)
            else:
                reply.set_result(answer)

    async def _watch(self) -> None:
        """Fail when the oldest question has waited too long for its answer."""
        loop = asyncio.get_running_loop()
        while not self._waiting or self._waiting[0][1] > loop.time():  # noqa: ASYNC110 - time does not tell
            await asyncio.sleep(ANSWER_SECONDS / 10)
        raise TimeoutError(f"no answer for {ANSWER_SECONDS:g} s")

    def _give_up(self) -> None:
        self._outgoing.clear()
        waiting, self._waiting = self._waiting, deque()
        for reply, _ in waiting:
            if not reply.done():
                reply.set_exception(StoreUnavailable("The connection to Redis broke before the answer."))
