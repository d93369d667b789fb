"""What this process has been answered lately."""

import marshal
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter

from encola.application.forgettings import Forgettings
from encola.application.ports import Marks
from encola.domain.context import ExecutionContext, TenantId
from encola.domain.json_value import JSON
from encola.domain.policy import OperationPolicy

ENTRIES = 10_000
MOST_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class _Entry:
    tenant: TenantId
    text: str
    tags: frozenset[str]
    until: float
    size: int


class LocalCache:
    """Texts by key, the least recently used of which go when there are too many or they are too long.

    :param now: monotonic seconds
    """

    def __init__(
        self, now: Callable[[], float], *, entries: int = ENTRIES, most_bytes: int = MOST_BYTES
    ) -> None:
        self._now = now
        self._most = entries
        self._most_bytes = most_bytes
        self._bytes = 0
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._tagged: dict[tuple[TenantId, str], set[Hashable]] = {}
        self._forgettings = Forgettings(entries)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> str | None:
        """Return the text, or ``None`` when there is none or its time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.until <= self._now():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.text

    def put(
        self,
        tenant: TenantId,
        key: Hashable,
        text: str,
        *,
        seconds: float,
        tags: Sequence[str] = (),
        marks: Marks = (),
    ) -> None:
        """Keep a text for a while, unless one of its tags was forgotten since its marks."""
        if tags and marks != self._forgettings.marks(tenant, tags):
            return
        self._drop(key)
        size = _size_of(key) + len(text)
        if size > self._most_bytes:
            return
        self._entries[key] = _Entry(tenant, text, frozenset(tags), self._now() + seconds, size)
        self._bytes += size
        for tag in tags:
            self._tagged.setdefault((tenant, tag), set()).add(key)
        while len(self._entries) > self._most or self._bytes > self._most_bytes:
            self._drop(next(iter(self._entries)))

    def marks(self, tenant: TenantId, tags: Sequence[str]) -> Marks:
        """Return what tells a later :meth:`put` whether one of the tags has been forgotten since."""
        return self._forgettings.marks(tenant, tags)

    def forget(self, tenant: TenantId, tags: Sequence[str]) -> None:
        """Drop the tenant's texts that carry one of the tags."""
        self._forgettings.add(tenant, tags)
        for tag in tags:
            for key in tuple(self._tagged.get((tenant, tag), ())):
                self._drop(key)

    def _drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._bytes -= entry.size
        for tag in entry.tags:
            keys = self._tagged[entry.tenant, tag]
            keys.discard(key)
            if not keys:
                del self._tagged[entry.tenant, tag]


def _size_of(key: Hashable) -> int:
    """Return what a key weighs, about: it holds the whole question, which may be longer than its answer."""
    parts = key if isinstance(key, tuple) else (key,)
    return sum(len(part) for part in parts if isinstance(part, str | bytes))


def quick_key(
    context: ExecutionContext, operation: OperationPolicy, service: str, path: str, method: str, data: JSON
) -> Hashable | None:
    """Return a key that two calls share only if they are the same, or ``None`` for data beyond JSON.

    The same call may have several, as when its members are in another order: a spelling that does not
    depend on it costs more than all else that a hit in this process costs.
    """
    try:
        # Version 0, because later ones spell a text by whether it is shared.
        spelt = marshal.dumps(data, 0)
    except ValueError:
        return None
    names = _getter(operation.vary)(context) if operation.vary else None
    return (context.tenant_id, service, path, operation.name, method, names, spelt)


@lru_cache(maxsize=1024)
def _getter(names: tuple[str, ...]) -> Callable[[ExecutionContext], object]:
    return attrgetter(*names)
