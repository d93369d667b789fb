"""The harness finds what it is there to find: each bug that is planted breaks an invariant."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.distributed import DistributedStack
from tests.chaos.plan import Plan, PlannedFault, make_plan
from tests.chaos.report import Outcome, table
from tests.chaos.run import Patience, run
from tests.chaos.server_faults import ALL_FAULTS
from tests.chaos.stack import EmbeddedStack, Stack

SEED = 20261123
IMPATIENT = Patience(jobs=20, watchers=8, history=40, remains=15)
HASTY = Patience(jobs=12, watchers=8, history=5, remains=2)

pytestmark = pytest.mark.timeout(300)


def after(seconds: float, kind: str, lasts: float = 0.0, victim: int = 0) -> PlannedFault:
    return PlannedFault(at=seconds, kind=kind, lasts=lasts, victim=victim)


def plan_of(jobs: int, seconds: float, faults: Sequence[PlannedFault] = ()) -> Plan:
    plan = make_plan(SEED, jobs=jobs, seconds=seconds, faults={}, every=1.0, poison=0)
    return replace(plan, faults=faults)


# The workers are paused beyond their leases by turns, while they hold jobs.
PAUSES = [after(1.0 + 3 * turn, "pause_worker", lasts=4.0, victim=turn) for turn in range(6)]
# The queue fills while no worker takes anything, and is gone before one does.
WIPE = [*(after(1.0, "pause_worker", lasts=2.0, victim=turn) for turn in (0, 1)), after(2.0, "wipe_rabbit")]
# A claim takes the better part of a second, and now and then its worker dies before it is made.
SLOW_CLAIMS = [
    after(0.5, "delay_redis", lasts=6.0, victim=276),
    *(after(1.5 + turn, "kill_worker", lasts=0.1, victim=turn) for turn in range(4)),
]


async def outcome_of(stack: Stack, plan: Plan, patience: Patience = HASTY) -> Outcome:
    async with stack:
        return await run(stack, plan, ALL_FAULTS, patience=patience)


def distributed(folder: Path, app: str, **environment: str) -> Stack:
    return DistributedStack(folder, app=f"tests.chaos.{app}", environment=environment, apis=1, workers=2)


def embedded(folder: Path, app: str) -> Stack:
    return EmbeddedStack(folder, app=f"tests.chaos.{app}")


async def test_without_a_planted_bug_the_embedded_profile_breaks_nothing(tmp_path: Path) -> None:
    outcome = await outcome_of(embedded(tmp_path, "jobs:app"), plan_of(150, 4), IMPATIENT)

    assert outcome.is_clean, table(outcome)


async def test_without_a_planted_bug_the_distributed_profile_breaks_nothing(tmp_path: Path) -> None:
    later = [replace(fault, at=fault.at + 22) for fault in SLOW_CLAIMS]
    plan = plan_of(700, 29, [*PAUSES, *WIPE, *later])

    outcome = await outcome_of(distributed(tmp_path, "jobs:app"), plan, IMPATIENT)

    assert outcome.is_clean, table(outcome)


async def test_a_store_without_a_fence_is_found_out(tmp_path: Path) -> None:
    outcome = await outcome_of(distributed(tmp_path, "planted:no_fence"), plan_of(600, 20, PAUSES))

    assert "a stale attempt wrote nothing" in outcome.broken, table(outcome)


async def test_taking_a_job_for_delivered_once_it_is_published_is_found_out(tmp_path: Path) -> None:
    # What a paused worker was already sent is not in the queue, so let that be little.
    stack = distributed(tmp_path, "planted:no_confirm", ENCOLA_CONCURRENCY="8")

    outcome = await outcome_of(stack, plan_of(300, 4, WIPE))

    assert "every accepted job ended" in outcome.broken, table(outcome)


async def test_acknowledging_before_the_claim_is_found_out(tmp_path: Path) -> None:
    stack = distributed(tmp_path, "planted:no_confirm", ENCOLA_EARLY_ACK_SECONDS="0.001")

    outcome = await outcome_of(stack, plan_of(200, 7, SLOW_CLAIMS))

    assert "every accepted job ended" in outcome.broken, table(outcome)


async def test_with_a_late_acknowledgement_the_same_deaths_lose_nothing(tmp_path: Path) -> None:
    outcome = await outcome_of(distributed(tmp_path, "planted:no_confirm"), plan_of(200, 7, SLOW_CLAIMS))

    assert "every accepted job ended" not in outcome.broken, table(outcome)


async def test_publishing_before_the_write_is_found_out(tmp_path: Path) -> None:
    outcome = await outcome_of(embedded(tmp_path, "planted:published_first"), plan_of(150, 4))

    assert "one key, one job" in outcome.broken, table(outcome)


async def test_an_event_that_is_dropped_is_found_out(tmp_path: Path) -> None:
    outcome = await outcome_of(embedded(tmp_path, "planted:dropped_event"), plan_of(150, 4))

    assert "the history was told all, in order" in outcome.broken, table(outcome)


async def test_a_subscribe_that_is_not_confirmed_is_found_out(tmp_path: Path) -> None:
    outcome = await outcome_of(embedded(tmp_path, "planted:unconfirmed_subscribe"), plan_of(150, 4))

    assert "watchers saw all, in order, to the end" in outcome.broken, table(outcome)
