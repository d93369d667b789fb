"""A process may die just before and just after each write, and nothing is lost or doubled."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.chaos.crash_faults import APP, crash_faults
from tests.chaos.crash_points import POINTS, RELAY, points_of
from tests.chaos.distributed import DistributedStack
from tests.chaos.faults import PROCESS_FAULTS
from tests.chaos.plan import Plan, PlannedFault, make_plan
from tests.chaos.report import Outcome, table
from tests.chaos.run import run
from tests.chaos.stack import EmbeddedStack, Stack, Timings

SEED = 20261123
POINT_SECONDS = 1.5
JOBS_PER_SECOND = 15


def plan_of(points: Sequence[str]) -> Plan:
    """Return a plan with a death every now and then, for who is only being started passes few points.

    Those at writes that are rare come first, while there is time left to wait for them.
    """
    order = sorted(Random(SEED).sample(points, len(points)), key=_is_common)
    deaths = [_at(POINT_SECONDS * turn, point) for turn, point in enumerate(order, start=1)]
    seconds = POINT_SECONDS * (len(points) + 5)
    # Jobs are handed back by workers that are asked to end and do not wait for them.
    rolls = [_at(seconds * turn / 8, "roll_workers") for turn in (1, 3, 5)]
    jobs = round(JOBS_PER_SECOND * seconds)
    plan = make_plan(SEED, jobs=jobs, seconds=seconds, faults={}, every=1.0, poison=0)
    return replace(plan, faults=[*deaths, *rolls])


def _is_common(point: str) -> bool:
    return not point.endswith(("hand-back", "loss", "retry", "renew", "output", "due", "failed", "cancelled"))


def _at(seconds: float, kind: str) -> PlannedFault:
    return PlannedFault(at=seconds, kind=kind, lasts=0.0, victim=0)


async def outcome_of(stack: Stack, points: Sequence[str]) -> Outcome:
    kinds = {**crash_faults(points), "roll_workers": PROCESS_FAULTS["roll_workers"]}
    async with stack:
        return await run(stack, plan_of(points), kinds)


@pytest.mark.timeout(300)
async def test_a_death_at_any_write_of_a_job_loses_and_doubles_nothing(tmp_path: Path) -> None:
    points = [point for point in POINTS if point not in points_of(RELAY)]

    outcome = await outcome_of(DistributedStack(tmp_path, app=APP, timings=Timings(drain=0.1)), points)

    assert outcome.is_clean, table(outcome)
    assert set(outcome.evidence.crashes.values()) == set(points)


@pytest.mark.timeout(300)
async def test_a_death_while_the_history_is_told_loses_and_doubles_nothing(tmp_path: Path) -> None:
    points = points_of(RELAY)

    outcome = await outcome_of(EmbeddedStack(tmp_path, app=APP), points)

    assert outcome.is_clean, table(outcome)
    assert set(outcome.evidence.crashes.values()) == set(points)
