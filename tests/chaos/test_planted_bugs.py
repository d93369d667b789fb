"""The harness finds what it is there to find: each bug that is planted breaks an invariant."""

from collections.abc import Mapping
from pathlib import Path

from tests.chaos.distributed import DistributedStack
from tests.chaos.plan import FaultRange, Plan, make_plan
from tests.chaos.report import Outcome, table
from tests.chaos.run import Patience, run
from tests.chaos.server_faults import ALL_FAULTS
from tests.chaos.stack import EmbeddedStack, Stack

SEED = 20261123
IMPATIENT = Patience(jobs=15, watchers=5, history=10, remains=3)


async def outcome_of(stack: Stack, plan: Plan) -> Outcome:
    async with stack:
        return await run(stack, plan, ALL_FAULTS, patience=IMPATIENT)


def planned(jobs: int, seconds: float, every: float = 1.0, **faults: FaultRange) -> Plan:
    return make_plan(SEED, jobs=jobs, seconds=seconds, faults=faults, every=every, poison=0)


async def test_a_store_without_a_fence_is_found_out(tmp_path: Path) -> None:
    plan = planned(200, 12, 2.0, pause_worker=FaultRange(shortest=4, longest=6))

    outcome = await outcome_of(DistributedStack(tmp_path, app="tests.chaos.planted:no_fence"), plan)
    print(table(outcome))
    assert "a stale attempt wrote nothing" in outcome.broken


async def test_publishing_without_waiting_for_the_confirm_is_found_out(tmp_path: Path) -> None:
    plan = planned(300, 12, 3, wipe_rabbit=FaultRange(shortest=0, longest=0.5))

    outcome = await outcome_of(DistributedStack(tmp_path, app="tests.chaos.planted:no_confirm"), plan)
    print(table(outcome))

    assert "every accepted job ended" in outcome.broken


async def test_an_event_that_is_dropped_is_found_out(tmp_path: Path) -> None:
    outcome = await outcome_of(
        EmbeddedStack(tmp_path, app="tests.chaos.planted:dropped_event"), planned(100, 4)
    )

    print(table(outcome))
    assert "the history was told all, in order" in outcome.broken


async def test_a_subscribe_that_is_not_confirmed_is_found_out(tmp_path: Path) -> None:
    outcome = await outcome_of(
        EmbeddedStack(tmp_path, app="tests.chaos.planted:unconfirmed_subscribe"), planned(200, 4)
    )

    print(table(outcome))
    assert "watchers saw all, in order, to the end" in outcome.broken


async def test_publishing_before_the_write_is_found_out(tmp_path: Path) -> None:
    outcome = await outcome_of(
        EmbeddedStack(tmp_path, app="tests.chaos.planted:published_first"), planned(200, 4)
    )

    print(table(outcome))
    assert "one key, one job" in outcome.broken
