"""Without anything that records, traces are carried on."""

import pytest

from encola.adapters.memory import SeededIds
from encola.adapters.telemetry import ChildIds
from encola.testing import contracts
from encola.testing.contracts.call_telemetry import UNTRACED, attempts_of


class TestChildIds(contracts.CallTelemetryContract):
    @pytest.fixture
    def telemetry(self) -> ChildIds:
        return ChildIds(SeededIds().random_hex)


def test_a_new_trace_is_sampled_so_that_those_who_record_do() -> None:
    assert attempts_of(ChildIds(SeededIds().random_hex), UNTRACED)[0].endswith("-01")


def test_the_same_chance_gives_the_same_ids() -> None:
    one, other = (attempts_of(ChildIds(SeededIds(7).random_hex), UNTRACED) for _ in range(2))

    assert one == other
