"""Which tags were forgotten, and when."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import count

from encola.application.ports import Marks
from encola.domain.context import TenantId

REMEMBERED = 10_000


class Forgettings:
    """Numbers the forgettings of tenants' tags, and tells whether there was one since.

    Of the tags that were forgotten longest ago only the number of the last one is remembered, so that
    marks of them look outdated rather than current.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._numbers = count(1)
        self._last: OrderedDict[tuple[TenantId, str], int] = OrderedDict()
        self._oldest = 0

    def add(self, tenant: TenantId, tags: Sequence[str]) -> None:
        """Note that the tags are forgotten now."""
        for tag in tags:
            self._last[tenant, tag] = next(self._numbers)
            self._last.move_to_end((tenant, tag))
        while len(self._last) > self._remembered:
            _, self._oldest = self._last.popitem(last=False)

    def marks(self, tenant: TenantId, tags: Sequence[str]) -> Marks:
        """Return what is different after any of the tags was forgotten."""
        return tuple(str(self._last.get((tenant, tag), self._oldest)) for tag in tags)
