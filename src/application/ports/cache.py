"""Values that may be lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeAlias

from encola.domain.context import TenantId
from encola.domain.json_value import JSON

Marks: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cached:
    """A hit; the value may be falsy or ``None``."""

    value: JSON


class Cache(Protocol):
    """Keeps JSON values per tenant for a while; the oldest go when it is full."""

    async def get(self, tenant: TenantId, key: str) -> Cached | None:
        """Return the value, or ``None`` when there is none or its time is over."""
        ...

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
        """Keep a value for ``ttl``, in place of what was there.

        With the ``marks`` of the same tags nothing is kept if one of them was forgotten since.
        """
        ...

    async def marks(self, tenant: TenantId, tags: Sequence[str]) -> Marks:
        """Return what tells a later :meth:`put` whether one of the tags has been forgotten since.

        They hold for ten minutes; older ones may be taken for outdated.
        """
        ...

    async def forget(self, tenant: TenantId, *tags: str) -> None:
        """Drop the tenant's values that carry one of the tags."""
        ...

    async def lease(self, tenant: TenantId, key: str, *, ttl: timedelta) -> bool:
        """Return ``True`` to one caller until ``ttl`` has passed or it lets go: it may fill the key."""
        ...

    async def release(self, tenant: TenantId, key: str) -> None:
        """Let the lease go; a no-op when it is over."""
        ...
