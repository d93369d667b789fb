"""What every clock promises."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from encola.application.ports import Clock

PassTime = Callable[[timedelta], Awaitable[None]]

ROUNDING = timedelta(milliseconds=5)
"""What a machine's timer and its clock may differ by."""


class ClockContract:
    """The promise of :class:`~encola.application.ports.Clock`. Subclass it and give the fixtures.

    ``pass_time`` lets a duration pass on the clock.
    """

    step = timedelta(milliseconds=30)

    @pytest.fixture
    def clock(self) -> Clock:
        """Return a clock."""
        raise NotImplementedError("return a clock")

    @pytest.fixture
    def pass_time(self) -> PassTime:
        """Return what lets time pass."""
        raise NotImplementedError("return an async function of a timedelta")

    def test_now_is_aware_and_in_utc(self, clock: Clock) -> None:
        assert clock.now().utcoffset() == timedelta(0)

    async def test_time_passes(self, clock: Clock, pass_time: PassTime) -> None:
        began = clock.now()

        await pass_time(self.step)

        assert clock.now() - began >= self.step - ROUNDING

    async def test_a_sleeper_wakes_when_its_time_has_passed(self, clock: Clock, pass_time: PassTime) -> None:
        began = clock.now()
        sleeper = asyncio.create_task(clock.sleep(self.step))

        await pass_time(self.step)
        async with asyncio.timeout(10):
            await sleeper

        assert clock.now() - began >= self.step - ROUNDING

    async def test_sleepers_wake_in_the_order_of_their_time(self, clock: Clock, pass_time: PassTime) -> None:
        woken: list[int] = []

        async def sleep(steps: int) -> None:
            await clock.sleep(self.step * steps)
            woken.append(steps)

        sleepers = [asyncio.create_task(sleep(steps)) for steps in (3, 1, 2)]
        await pass_time(self.step * 3)
        async with asyncio.timeout(10):
            await asyncio.gather(*sleepers)

        assert woken == [1, 2, 3]

    @pytest.mark.parametrize("duration", [timedelta(0), timedelta(seconds=-1), timedelta.min])
    async def test_no_time_or_less_passes_at_once(self, clock: Clock, duration: timedelta) -> None:
        async with asyncio.timeout(10):
            await clock.sleep(duration)

    async def test_a_sleeper_can_be_cancelled(self, clock: Clock, pass_time: PassTime) -> None:
        sleeper = asyncio.create_task(clock.sleep(self.step))
        await asyncio.sleep(0)

        sleeper.cancel()
        await pass_time(self.step)

        assert sleeper.cancelled()
