"""A process may die just before and just after each write, and nothing is lost or doubled."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.chaos.crash_faults import APP, crash_faults
from tests.chaos.crash_points import POINTS, RELAY, points_of
from tests.chaos.distributed import DistributedStack
from tests.chaos.faults import PROCESS_FAULTS
from tests.chaos.plan import make_plan
from tests.chaos.report import Outcome, table
from tests.chaos.run import run
from tests.chaos.stack import EmbeddedStack, Stack, Timings

SEED = 20261123
POINT_SECONDS = 1.5
JOBS_PER_SECOND = 15


async def outcome_of(stack: Stack, points: Sequence[str]) -> Outcome:
    # Jobs are handed back by workers that are asked to end and do not wait for them.
    kinds = {**crash_faults(points), "roll_workers": PROCESS_FAULTS["roll_workers"]}
    ranges = {kind: fault.range for kind, fault in kinds.items()}
    seconds = POINT_SECONDS * len(kinds)
    jobs = round(JOBS_PER_SECOND * seconds)
    plan = make_plan(SEED, jobs=jobs, seconds=seconds, faults=ranges, every=POINT_SECONDS, poison=0)
    async with stack:
        return await run(stack, plan, kinds)


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
