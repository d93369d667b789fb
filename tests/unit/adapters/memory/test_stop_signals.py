"""Stop signals within one process."""

from dataclasses import replace

import pytest

from encola.adapters.memory import InProcessStopSignals
from encola.adapters.memory.stop_signals import KEPT
from encola.application.ports import Lease
from encola.testing.builders import ACME, an_id
from encola.testing.contracts import StopSignalsContract

LEASE = Lease(tenant_id=ACME, job_id=an_id(1), attempt=1)


class TestInProcessStopSignals(StopSignalsContract):
    @pytest.fixture
    def stops(self) -> InProcessStopSignals:
        return InProcessStopSignals()


async def test_the_oldest_signals_are_lost_first() -> None:
    stops = InProcessStopSignals()
    for attempt in range(KEPT + 3):
        await stops.send(replace(LEASE, attempt=attempt))

    assert (await stops.receive()).attempt == 3
    assert len(stops._signals) == KEPT - 1
