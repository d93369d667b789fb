"""Deaths at named points, as faults among others; they need the app of :mod:`tests.chaos.crash_points`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.crash_points import POINTS
from tests.chaos.faults import PROCESS_FAULTS, Fault
from tests.chaos.plan import FaultRange, PlannedFault
from tests.chaos.stack import Stack
from tests.chaos.troubles import Troubles
from tests.chaos.waiting import becomes

APP = "tests.chaos.crash_points:app"
REACHED_SECONDS = 8.0
TRIES = 3

PROVOKED_BY = {"hand-back": "roll_workers", "loss": "kill_worker"}
"""What makes a write likely that hardly happens otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _AtPoint:
    """Mark a point, and wait for somebody to die there; the mark is taken back if nobody does.

    One death at a time, and somebody must be there to die: who is being started passes few points.
    """

    point: str

    async def __call__(self, stack: Stack, fault: PlannedFault, troubles: Troubles) -> None:
        mark = stack.crashes / self.point
        async with stack.crash_lock:
            await stack.until_able()
            mark.touch()
            _, _, write = self.point.partition("-")
            for _ in range(TRIES):
                if write in PROVOKED_BY:
                    await PROCESS_FAULTS[PROVOKED_BY[write]].run(stack, fault, troubles)
                if await becomes(lambda: not mark.exists(), REACHED_SECONDS):
                    break
            mark.unlink(missing_ok=True)


def crash_faults(points: Sequence[str] = POINTS) -> Mapping[str, Fault]:
    """Return a kind of fault for each of the points."""
    return {point: Fault(run=_AtPoint(point=point), range=FaultRange()) for point in points}
