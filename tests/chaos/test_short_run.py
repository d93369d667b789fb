"""A short run of the crash matrix: each kind of fault at least once, some at the same time."""

from pathlib import Path

import pytest

from tests.chaos.distributed import DistributedStack
from tests.chaos.plan import make_plan
from tests.chaos.report import table
from tests.chaos.run import run
from tests.chaos.server_faults import ALL_FAULTS

SEED = 20261123
JOBS = 500
SECONDS = 35.0


@pytest.mark.timeout(300)
async def test_nothing_is_lost_or_doubled_whatever_goes_wrong(tmp_path: Path) -> None:
    ranges = {kind: fault.range for kind, fault in ALL_FAULTS.items()}
    plan = make_plan(SEED, jobs=JOBS, seconds=SECONDS, faults=ranges, every=SECONDS / len(ranges), poison=1)

    async with DistributedStack(tmp_path) as stack:
        outcome = await run(stack, plan, ALL_FAULTS)

    assert len(outcome.evidence.stories) == JOBS
    assert outcome.is_clean, table(outcome)
