"""The machine's clock and ids keep what the ports promise."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from encola.adapters.system import SystemClock, SystemIds
from encola.domain.context import JobId
from encola.testing import contracts


class TestSystemClock(contracts.ClockContract):
    @pytest.fixture
    def clock(self) -> SystemClock:
        return SystemClock()

    @pytest.fixture
    def pass_time(self) -> Callable[[timedelta], Awaitable[None]]:
        return lambda duration: asyncio.sleep(duration.total_seconds())


class TestSystemIds(contracts.IdsContract):
    @pytest.fixture
    def ids(self) -> SystemIds:
        return SystemIds()


def milliseconds_of(job_id: JobId) -> int:
    """Return the time that a UUIDv7 begins with."""
    return uuid.UUID(job_id).int >> 80


def test_a_job_id_begins_with_the_milliseconds_since_1970() -> None:
    assert milliseconds_of(SystemIds(lambda: 0x017F22E279B0).job_id()) == 0x017F22E279B0


def test_job_ids_rise_within_one_millisecond() -> None:
    ids = SystemIds(lambda: 1_800_000_000_000)

    drawn = [ids.job_id() for _ in range(10_000)]

    assert drawn == sorted(set(drawn))
    assert milliseconds_of(drawn[-1]) == 1_800_000_000_000


def test_job_ids_rise_when_the_clock_is_set_back() -> None:
    readings = iter([2000, 1000, 1999, 2001])
    ids = SystemIds(lambda: next(readings))

    drawn = [ids.job_id() for _ in range(4)]

    assert drawn == sorted(set(drawn))
    assert [milliseconds_of(job_id) for job_id in drawn] == [2000, 2000, 2000, 2001]


def test_two_processes_do_not_give_the_same_ids() -> None:
    one, other = (SystemIds(lambda: 1000) for _ in range(2))

    assert not {one.job_id() for _ in range(100)} & {other.job_id() for _ in range(100)}


@pytest.mark.parametrize("_", range(5))
def test_an_epoch_is_six_of_base_36(_: int) -> None:
    epoch = SystemIds().epoch()

    assert len(epoch) == 6
    assert int(epoch, 36) >= 0
    assert epoch == epoch.lower()
