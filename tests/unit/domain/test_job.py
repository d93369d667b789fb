"""The rules of a job's life."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeAlias

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from encola.domain.errors import IllegalTransition
from encola.domain.job import POISONED_AFTER, REOPENABLE, TRANSITIONS, WAITING, Job, JobStatus, Progress
from encola.domain.policy import RetryPolicy
from encola.testing.builders import FLAW, HICCUP, LEASE, NOON, a_job, after
from encola.testing.strategies import jobs, progresses, retry_policies

Move: TypeAlias = Callable[[Job], Job]

LATER = after(60)
HALF = Progress(current=1, total=2)
PATIENT = RetryPolicy(retries=3, lost_retries=3)

MOVES: dict[str, tuple[JobStatus, Move]] = {
    "queued": (JobStatus.QUEUED, lambda job: job.queued(LATER)),
    "handed back": (JobStatus.QUEUED, lambda job: job.handed_back(LATER)),
    "claimed": (JobStatus.PROCESSING, lambda job: job.claimed(LATER, LEASE)),
    "progressed": (JobStatus.PROCESSING, lambda job: job.progressed(HALF, LATER, LEASE)),
    "failed for now": (JobStatus.RETRYING, lambda job: job.failed(HICCUP, LATER, 0.5)),
    "lost for now": (JobStatus.RETRYING, lambda job: job.lost(LATER)),
    "completed": (JobStatus.COMPLETED, lambda job: job.completed(0, LATER)),
    "failed": (JobStatus.FAILED, lambda job: job.failed(FLAW, LATER, 0.5)),
    "cancelled": (JobStatus.CANCELLED, lambda job: job.cancelled(LATER)),
    "expired": (JobStatus.EXPIRED, lambda job: job.expired(LATER)),
}
LIVE = [status for status in JobStatus if not status.is_terminal]
TERMINAL = [status for status in JobStatus if status.is_terminal]


def in_status(status: JobStatus, **fields: object) -> Job:
    return a_job(status=status, retry=PATIENT, attempt=1, seq=5, **fields)


def running(**fields: object) -> Job:
    return a_job(**fields).claimed(NOON, LEASE)


def can(job: Job, move: Move) -> bool:
    try:
        move(job)
    except IllegalTransition:
        return False
    return True


@pytest.mark.parametrize("before", JobStatus)
@pytest.mark.parametrize("after_it", JobStatus)
def test_a_job_becomes_what_the_table_says_and_nothing_else(before: JobStatus, after_it: JobStatus) -> None:
    moves = [move for target, move in MOVES.values() if target is after_it]
    reached = [move(in_status(before)).status for move in moves if can(in_status(before), move)]

    assert bool(reached) is (after_it in TRANSITIONS[before])
    assert set(reached) <= {after_it}


def test_terminal_is_from_which_nothing_follows() -> None:
    assert set(TERMINAL) == {"completed", "failed", "cancelled", "expired"}
    assert WAITING | {JobStatus.PROCESSING} == set(LIVE)


@pytest.mark.parametrize("status", TERMINAL)
@pytest.mark.parametrize("move", [move for _, move in MOVES.values()], ids=list(MOVES))
def test_what_has_ended_never_changes(status: JobStatus, move: Move) -> None:
    with pytest.raises(IllegalTransition):
        move(in_status(status))


@pytest.mark.parametrize("status", JobStatus)
def test_only_what_ended_without_result_can_be_sent_round_again(status: JobStatus) -> None:
    assert can(in_status(status), lambda job: job.reopened(LATER)) is (status in REOPENABLE)
    assert set(TERMINAL) - {JobStatus.COMPLETED} == REOPENABLE


def test_a_reopened_job_has_its_retries_again_and_no_trace_of_the_end() -> None:
    spent = a_job(expires_at=after(9), check_at=after(9), retry=RetryPolicy(retries=1))
    ended = spent.claimed(NOON, LEASE).failed(HICCUP, NOON, 0).claimed(NOON, LEASE).failed(HICCUP, NOON, 0)

    again = ended.reopened(LATER)

    assert ended.status is JobStatus.FAILED
    assert (again.status, again.failures, again.losses, again.due_at) == (JobStatus.QUEUED, 0, 0, LATER)
    assert (again.error, again.finished_at, again.expires_at, again.check_at) == (None,) * 4
    assert again.attempt == 2
    assert again.claimed(LATER, LEASE).attempt == 3


@given(jobs(), st.sampled_from([*MOVES, "reopened"]), st.floats(-5_000, 50_000))
def test_every_change_counts_by_one_and_time_never_runs_backwards(
    job: Job, name: str, seconds: float
) -> None:
    _, move = MOVES.get(name, (JobStatus.QUEUED, lambda job: job.reopened(LATER)))
    job = replace(job, updated_at=after(seconds))
    assume(can(job, move))

    following = move(job)

    assert following.seq == job.seq + 1
    assert following.updated_at == max(LATER, job.updated_at)
    assert following.attempt == job.attempt + (name == "claimed")
    assert (following.finished_at == LATER) >= following.status.is_terminal
    assert (following.id, following.context, following.params) == (job.id, job.context, job.params)


@pytest.mark.parametrize("status", sorted(set(JobStatus) - {JobStatus.QUEUED, JobStatus.RETRYING}))
def test_only_what_waits_for_a_worker_can_be_claimed(status: JobStatus) -> None:
    assert not can(in_status(status), lambda job: job.claimed(LATER, LEASE))


def test_a_running_job_is_queued_again_only_by_handing_it_back() -> None:
    assert not can(running(), lambda job: job.queued(LATER))


def test_a_clock_set_back_does_not_turn_the_history_round() -> None:
    job = a_job(updated_at=LATER)

    assert job.claimed(NOON, LEASE).updated_at == LATER
    assert job.cancelled(NOON).updated_at == LATER
    assert job.cancelled(NOON).reopened(NOON).updated_at == LATER


def test_every_claim_is_a_new_attempt_with_a_lease_of_its_own() -> None:
    first = running()
    second = first.handed_back(after(1)).claimed(after(2), LEASE)

    assert (first.attempt, first.check_at, first.due_at) == (1, NOON + LEASE, None)
    assert (second.attempt, second.check_at, second.started_at) == (2, after(2) + LEASE, after(2))
    assert second.deadline == after(2) + second.timeout


def test_progress_begins_the_lease_anew() -> None:
    assert running().progressed(HALF, after(20), LEASE).check_at == after(20) + LEASE


def test_a_new_attempt_does_not_show_the_progress_or_the_error_of_the_last() -> None:
    failed = running(retry=PATIENT).progressed(HALF, NOON, LEASE).failed(HICCUP, NOON, 0)

    assert failed.error == HICCUP
    assert failed.progress is None
    assert failed.claimed(NOON, LEASE).error is None


@given(retry_policies(), st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_delay_is_between_zero_and_its_cap(policy: RetryPolicy, failure: int, chance: float) -> None:
    delay = policy.delay(failure, chance)

    assert timedelta(0) <= delay <= policy.max_delay


def test_the_longest_delay_doubles_up_to_its_cap_and_the_jitter_is_full() -> None:
    policy = RetryPolicy(first_delay=timedelta(seconds=1), max_delay=timedelta(seconds=5))

    assert [policy.delay(n, 0.999999).total_seconds() for n in range(1, 6)] == pytest.approx(
        [1, 2, 4, 5, 5], rel=1e-4
    )
    assert [policy.delay(n, 0.0) for n in range(1, 6)] == [timedelta(0)] * 5
    assert policy.delay(2, 0.25) == timedelta(seconds=0.5)


@given(st.integers(0, 5))
def test_a_handlers_error_is_forgiven_as_often_as_declared(retries: int) -> None:
    job = a_job(retry=RetryPolicy(retries=retries, lost_retries=0))
    for _ in range(retries):
        job = job.claimed(NOON, LEASE).failed(HICCUP, NOON, 0)
        assert job.status is JobStatus.RETRYING

    ended = job.claimed(NOON, LEASE).failed(HICCUP, NOON, 0)

    assert (ended.status, ended.attempt, ended.failures) == (JobStatus.FAILED, retries + 1, retries + 1)


@given(st.integers(0, POISONED_AFTER - 2))
def test_a_dead_worker_is_forgiven_as_often_as_declared(lost_retries: int) -> None:
    job = a_job(retry=RetryPolicy(retries=0, lost_retries=lost_retries))
    for _ in range(lost_retries):
        job = job.claimed(NOON, LEASE).lost(NOON)
        assert job.status is JobStatus.RETRYING
        assert job.due_at == NOON

    ended = job.claimed(NOON, LEASE).lost(NOON)

    assert ended.status is JobStatus.FAILED
    assert ended.error is not None
    assert (ended.error.code, ended.losses) == ("worker_lost", lost_retries + 1)


@given(st.integers(POISONED_AFTER - 1, 100))
def test_a_job_that_keeps_killing_its_workers_is_set_aside_whatever_it_declares(lost_retries: int) -> None:
    job = a_job(retry=RetryPolicy(retries=0, lost_retries=lost_retries))
    for _ in range(POISONED_AFTER):
        job = job.claimed(NOON, LEASE).lost(NOON)

    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert (job.error.code, job.losses) == ("poisoned", POISONED_AFTER)


def test_a_job_that_was_set_aside_can_be_sent_round_again() -> None:
    job = running(losses=POISONED_AFTER - 1).lost(NOON).reopened(NOON)

    assert (job.status, job.losses) == (JobStatus.QUEUED, 0)


def test_losses_do_not_cost_failures_and_the_reverse() -> None:
    job = running(retry=RetryPolicy(retries=1, lost_retries=1)).lost(NOON).claimed(NOON, LEASE)
    job = job.failed(HICCUP, NOON, 0)

    assert (job.status, job.losses, job.failures) == (JobStatus.RETRYING, 1, 1)


def test_an_error_that_is_not_worth_repeating_ends_the_job() -> None:
    assert running(retry=PATIENT).failed(FLAW, NOON, 0).status is JobStatus.FAILED


def test_a_type_that_declares_nothing_survives_its_workers_death_only() -> None:
    assert RetryPolicy.of(None) == RetryPolicy(retries=0, lost_retries=3)
    assert RetryPolicy.of(0) == RetryPolicy(retries=0, lost_retries=0)
    assert RetryPolicy.of(2) == RetryPolicy(retries=2, lost_retries=2)


@pytest.mark.parametrize("status", [JobStatus.SCHEDULED, JobStatus.QUEUED, JobStatus.RETRYING])
def test_what_waits_beyond_its_time_to_live_expires(status: JobStatus) -> None:
    job = in_status(status, check_at=after(10), expires_at=after(10))

    assert job.overdue(after(9.999)) is None
    expired = job.overdue(after(10))
    assert expired is not None
    assert expired.status is JobStatus.EXPIRED


def test_what_runs_beyond_its_lease_is_lost() -> None:
    job = running(retry=PATIENT)

    assert job.overdue(NOON + LEASE - timedelta(microseconds=1)) is None
    lost = job.overdue(NOON + LEASE)
    assert lost is not None
    assert (lost.status, lost.losses) == (JobStatus.RETRYING, 1)


@given(jobs(), st.floats(0, 20_000))
def test_what_nobody_must_look_at_is_never_overdue(job: Job, seconds: float) -> None:
    assert replace(job, check_at=None).overdue(after(seconds)) is None


def test_a_time_to_live_still_counts_after_a_job_was_handed_back() -> None:
    job = running(expires_at=after(10), check_at=after(10))

    assert job.handed_back(after(1)).check_at == after(10)


@given(progresses())
def test_percents_are_between_0_and_100_whatever_is_reported(progress: Progress) -> None:
    assert 0 <= progress.percent <= 100


@pytest.mark.parametrize(
    ("current", "total", "percent"),
    [(0, 3, 0), (1, 3, 33), (3, 3, 100), (5, 3, 100), (-1, 3, 0), (0, 0, 100), (1, -1, 100)],
)
def test_percents_are_whole(current: float, total: float, percent: int) -> None:
    assert Progress(current=current, total=total).percent == percent


@pytest.mark.parametrize("result", [None, 0, "", [], {}, False])
def test_seed_16_a_falsy_result_is_a_result(result: object) -> None:
    completed = running().completed(result, LATER)  # type: ignore[arg-type]

    assert completed.status is JobStatus.COMPLETED
    assert completed.result == result
    assert type(completed.result) is type(result)


def test_seed_07_and_08_nothing_is_written_over_completed() -> None:
    completed = running().completed("done", LATER)

    for _, move in MOVES.values():
        assert not can(completed, move)
