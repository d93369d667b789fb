"""A process may die just before and just after each write, and nothing is lost or doubled."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.chaos.crash_faults import APP, crash_faults
from tests.chaos.crash_points import KEEPERS, RELAY, RUNS, SUBMITS, points_of
from tests.chaos.distributed import DistributedStack
from tests.chaos.plan import Plan, PlannedFault, make_plan
from tests.chaos.report import Outcome, table
from tests.chaos.run import run
from tests.chaos.stack import EmbeddedStack, Stack, Timings

SEED = 20261123
JOBS_PER_SECOND = 12
ROUNDS = 4
LONGEST_SECONDS = 200 * ROUNDS

pytestmark = pytest.mark.timeout(LONGEST_SECONDS + 160)


def plan_of(points: Sequence[str]) -> Plan:
    """Return a plan with one death after the other, each in every round, and jobs for as long as it takes."""
    chance = Random(SEED)
    order = [point for _ in range(ROUNDS) for point in chance.sample(points, len(points))]
    jobs = JOBS_PER_SECOND * LONGEST_SECONDS
    plan = make_plan(SEED, jobs=jobs, seconds=LONGEST_SECONDS, faults={}, every=1.0, poison=0)
    deaths = [PlannedFault(at=0.0, kind=point, lasts=0.0, victim=turn) for turn, point in enumerate(order)]
    return replace(plan, faults=deaths)


async def outcome_of(stack: Stack, points: Sequence[str]) -> Outcome:
    async with stack:
        return await run(stack, plan_of(points), crash_faults(points), ends_with_faults=True)


async def test_a_death_at_any_write_of_a_job_loses_and_doubles_nothing(tmp_path: Path) -> None:
    points = points_of([*SUBMITS, *RUNS, *KEEPERS])
    stack = DistributedStack(tmp_path, app=APP, timings=Timings(drain=0.1))

    outcome = await outcome_of(stack, points)

    assert outcome.is_clean, table(outcome)
    assert Counter(outcome.evidence.crashes.values()) == dict.fromkeys(points, ROUNDS)


async def test_a_death_while_the_history_is_told_loses_and_doubles_nothing(tmp_path: Path) -> None:
    points = points_of(RELAY)

    outcome = await outcome_of(EmbeddedStack(tmp_path, app=APP), points)

    assert outcome.is_clean, table(outcome)
    assert Counter(outcome.evidence.crashes.values()) == dict.fromkeys(points, ROUNDS)
