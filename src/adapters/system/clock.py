"""The machine's clock."""

import asyncio
from datetime import UTC, datetime, timedelta

from encola.application.ports import Clock


class SystemClock(Clock):
    """Tells the time of this machine; waits are not touched when that is set anew."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, duration: timedelta) -> None:
        await asyncio.sleep(max(0.0, duration.total_seconds()))
