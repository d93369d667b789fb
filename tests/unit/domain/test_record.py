"""The stored form of a job."""

import json
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from encola.domain.job import Job
from encola.domain.record import dump_job, from_microseconds, load_job, to_microseconds
from encola.testing.builders import a_full_job
from encola.testing.strategies import jobs


@given(jobs())
def test_a_job_comes_back_from_its_record_as_it_was(job: Job) -> None:
    assert load_job(json.loads(json.dumps(dump_job(job), allow_nan=False))) == job


def test_a_job_with_every_field_set_comes_back() -> None:
    assert load_job(json.loads(json.dumps(dump_job(a_full_job())))) == a_full_job()


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_comes_back_to_the_microsecond(instant: datetime) -> None:
    assert from_microseconds(to_microseconds(instant)) == instant


def test_seed_27_an_instant_is_the_same_from_whatever_zone() -> None:
    there = datetime(2026, 7, 1, 14, tzinfo=timezone(timedelta(hours=2)))

    assert from_microseconds(to_microseconds(there)) == there
    assert from_microseconds(to_microseconds(there)).utcoffset() == timedelta(0)
