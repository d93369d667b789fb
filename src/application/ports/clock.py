"""Time."""

from datetime import datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits for it."""

    def now(self) -> datetime:
        """Return this instant, aware, in UTC."""
        ...

    async def sleep(self, duration: timedelta) -> None:
        """Return when ``duration`` has passed on this clock; at once when it is zero or less."""
        ...
