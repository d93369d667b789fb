"""The cache in Redis."""

import json
import secrets
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

from encola.adapters.redis.keys import Keys
from encola.adapters.redis.link import RedisLink
from encola.adapters.redis.links import RedisLinks
from encola.adapters.redis.scripts import Script
from encola.application.ports import Cache, Cached, Marks
from encola.domain.context import TenantId
from encola.domain.json_value import JSON

_PUT: Final = Script.load("cache_put")
_MARKS: Final = Script.load("cache_marks")
_RELEASE: Final = Script.load("cache_release")
MARKS_KEPT: Final = timedelta(minutes=10)
_MILLISECOND: Final = timedelta(milliseconds=1)

# Made once, for json.dumps makes a new encoder whenever its options are not the default ones.
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


class RedisCache(Cache):
    """Up to ``entries`` values of each tenant; the oldest go first.

    A tag is a key with a random token, and a value is kept with the tokens of its tags. To forget a
    tag is to delete its key: what carries the lost token is no longer found, and ends with its time.
    """

    def __init__(self, links: RedisLinks, entries: int = 10_000) -> None:
        self._links = links
        self._entries = entries
        self._owner = secrets.token_hex(8)

    async def get(self, tenant: TenantId, key: str) -> Cached | None:
        link, keys = self._links.of(tenant)
        kept = await link.call("GET", _value(keys, tenant, key))
        if kept is None:
            return None
        tokens, _, text = kept.partition(b"\n")
        if tokens and not await _are_current(link, tokens.split(b" ")):
            return None
        return _read(text)

    async def put(
        self,
        tenant: TenantId,
        key: str,
        value: JSON,
        *,
        ttl: timedelta,
        tags: Sequence[str] = (),
        marks: Marks | None = None,
    ) -> None:
        link, keys = self._links.of(tenant)
        names = [_value(keys, tenant, key), keys.of(tenant, "cached"), *_tags(keys, tenant, tags)]
        token = secrets.token_hex(8)
        args: list[str | int] = [_encode(value), _milliseconds(ttl), token, self._entries, *(marks or ())]
        await link.script(_PUT, names, args)

    async def marks(self, tenant: TenantId, tags: Sequence[str]) -> Marks:
        if not tags:
            return ()
        link, keys = self._links.of(tenant)
        args: list[str | int] = [secrets.token_hex(8), _milliseconds(MARKS_KEPT)]
        tokens: Any = await link.script(_MARKS, _tags(keys, tenant, tags), args)
        return tuple(token.decode() for token in tokens)

    async def forget(self, tenant: TenantId, *tags: str) -> None:
        link, keys = self._links.of(tenant)
        if tags:
            await link.call("UNLINK", *_tags(keys, tenant, tags))

    async def lease(self, tenant: TenantId, key: str, *, ttl: timedelta) -> bool:
        link, keys = self._links.of(tenant)
        name = _lease(keys, tenant, key)
        return await link.call("SET", name, self._owner, "NX", "PX", _milliseconds(ttl)) is not None

    async def release(self, tenant: TenantId, key: str) -> None:
        link, keys = self._links.of(tenant)
        await link.script(_RELEASE, [_lease(keys, tenant, key)], [self._owner])


async def _are_current(link: RedisLink, tokens: list[bytes]) -> bool:
    """Tell whether all tags still have their tokens; names and tokens take turns."""
    current: Any = await link.call("MGET", *tokens[::2])
    return bool(current == tokens[1::2])


def _read(text: bytes) -> Cached | None:
    try:
        return Cached(json.loads(text))
    except ValueError:
        return None  # another version may have written it in its own way


def _milliseconds(ttl: timedelta) -> int:
    return max(1, ttl // _MILLISECOND)


def _value(keys: Keys, tenant: TenantId, key: str) -> str:
    return keys.of(tenant, f"cache:{_digest(key)}")


def _lease(keys: Keys, tenant: TenantId, key: str) -> str:
    return keys.of(tenant, f"lease:{_digest(key)}")


def _tags(keys: Keys, tenant: TenantId, tags: Sequence[str]) -> list[str]:
    return [keys.of(tenant, f"tag:{_digest(tag)}") for tag in tags]


def _digest(text: str) -> str:
    """Return what stands for a text of any length and any characters in the name of a key."""
    return sha256(text.encode(errors="surrogatepass")).hexdigest()
