"""Identity and chance."""

from typing import Protocol

from encola.domain.context import JobId


class Ids(Protocol):
    """Gives what must be unique or random."""

    def job_id(self) -> JobId:
        """Return a new UUIDv7 (RFC 9562): unique, sortable by time, not to be guessed."""
        ...

    def epoch(self) -> str:
        """Return a short random name for one job's stream of events."""
        ...

    def chance(self) -> float:
        """Return a number uniform in [0, 1)."""
        ...

    def random_hex(self, digits: int) -> str:
        """Return so many random hexadecimal digits in lower case, an even number; never zeros only."""
        ...
