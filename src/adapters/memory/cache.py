"""The cache in memory."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from encola.application.forgettings import Forgettings
from encola.application.ports import Cache, Cached, Clock, Marks
from encola.domain.context import TenantId
from encola.domain.json_value import JSON


@dataclass(frozen=True, slots=True)
class _Entry:
    text: str
    expires_at: datetime
    tags: frozenset[str]


class InMemoryCache(Cache):
    """Up to ``entries`` values, and as many leases; the least recently used go first."""

    def __init__(self, clock: Clock, entries: int = 10_000) -> None:
        self._clock = clock
        self._bound = entries
        self._entries: OrderedDict[tuple[TenantId, str], _Entry] = OrderedDict()
        self._forgettings = Forgettings(entries)
        self._leases: OrderedDict[tuple[TenantId, str], datetime] = OrderedDict()

    async def get(self, tenant: TenantId, key: str) -> Cached | None:
        await asyncio.sleep(0)
        entry = self._entries.get((tenant, key))
        if entry is None:
            return None
        if entry.expires_at <= self._clock.now():
            del self._entries[tenant, key]
            return None
        self._entries.move_to_end((tenant, key))
        return Cached(json.loads(entry.text))

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
        text = json.dumps(value, allow_nan=False)
        await asyncio.sleep(0)
        if marks is not None and marks != self._forgettings.marks(tenant, tags):
            return
        self._entries[tenant, key] = _Entry(text, self._clock.now() + ttl, frozenset(tags))
        self._entries.move_to_end((tenant, key))
        while len(self._entries) > self._bound:
            self._entries.popitem(last=False)

    async def marks(self, tenant: TenantId, tags: Sequence[str]) -> Marks:
        await asyncio.sleep(0)
        return self._forgettings.marks(tenant, tags)

    async def forget(self, tenant: TenantId, *tags: str) -> None:
        await asyncio.sleep(0)
        self._forgettings.add(tenant, tags)
        tagged = [key for key, entry in self._entries.items() if key[0] == tenant and entry.tags & set(tags)]
        for key in tagged:
            del self._entries[key]

    async def lease(self, tenant: TenantId, key: str, *, ttl: timedelta) -> bool:
        await asyncio.sleep(0)
        now = self._clock.now()
        if self._leases.get((tenant, key), now) > now:
            return False
        self._leases[tenant, key] = now + ttl
        self._leases.move_to_end((tenant, key))
        while len(self._leases) > self._bound:
            self._leases.popitem(last=False)
        return True

    async def release(self, tenant: TenantId, key: str) -> None:
        await asyncio.sleep(0)
        self._leases.pop((tenant, key), None)
