from contextlib import suppress
from typing import Any

import pybreaker
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from encola.adapters.http.breaker import Breaker, Outcome, Permit


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def breaker(time: Time) -> Breaker:
    return Breaker("history", now=time, chance=lambda: 0.5)


def attempt(one: Breaker, outcome: Outcome, *, slow: bool = False) -> Permit:
    permit = one.admit()
    assert permit is not None
    one.record(permit, outcome, slow=slow)
    return permit


def opened(time: Time) -> Breaker:
    one = breaker(time)
    for _ in range(5):
        attempt(one, Outcome.BAD)
    return one


def test_five_failures_in_a_row_open_it() -> None:
    time = Time()
    one = breaker(time)
    for _ in range(4):
        attempt(one, Outcome.BAD)
    attempt(one, Outcome.GOOD)
    for _ in range(4):
        attempt(one, Outcome.BAD)
    before = one.state
    attempt(one, Outcome.BAD)

    assert (before, one.state, one.wait) == ("closed", "open", 5.0)
    assert one.admit() is None


def test_half_of_many_opens_it_though_no_run_is_long() -> None:
    time = Time()
    one = breaker(time)
    for number in range(20):
        attempt(one, Outcome.BAD if number % 2 else Outcome.GOOD)

    assert one.state == "open"


def test_slowness_opens_it_too() -> None:
    one = breaker(Time())
    for _ in range(20):
        attempt(one, Outcome.GOOD, slow=True)

    assert one.state == "open"


def test_of_many_who_wait_one_probes() -> None:
    time = Time()
    one = opened(time)
    time.now += 5.0

    permits = [one.admit() for _ in range(50)]

    assert [permit for permit in permits if permit is not None] == [permits[0]]
    assert permits[0] is not None
    assert permits[0].is_probe


def test_a_good_probe_closes_it_and_the_window_begins_anew() -> None:
    time = Time()
    one = opened(time)
    time.now += 5.0
    attempt(one, Outcome.GOOD)
    for _ in range(4):
        attempt(one, Outcome.BAD)

    assert one.state == "closed"


def test_each_vain_probe_doubles_the_wait_up_to_a_minute() -> None:
    time = Time()
    one = opened(time)
    waits = []
    for _ in range(6):
        waits.append(one.wait)
        time.now += one.wait
        attempt(one, Outcome.BAD)

    assert waits == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_a_probe_that_says_nothing_makes_room_for_the_next() -> None:
    time = Time()
    one = opened(time)
    time.now += 5.0
    attempt(one, Outcome.NEUTRAL)

    assert one.state == "half-open"
    assert attempt(one, Outcome.GOOD).is_probe
    assert one.state == "closed"


@pytest.mark.parametrize("late", [Outcome.GOOD, Outcome.BAD])
def test_what_began_before_the_last_change_is_not_heard(late: Outcome) -> None:
    time = Time()
    one = breaker(time)
    slow = [one.admit() for _ in range(20)]
    for _ in range(5):
        attempt(one, Outcome.BAD)
    until = one.wait
    for permit in slow:
        assert permit is not None
        one.record(permit, late)

    assert (one.state, one.wait) == ("open", until)


@given(st.lists(st.booleans(), max_size=60))
@settings(max_examples=60)
def test_one_after_the_other_it_is_as_pybreaker(answers: list[bool]) -> None:
    """Where the window is silent, which below twenty calls it is."""
    time = Time()
    ours = breaker(time)
    theirs = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=3600, throw_new_error_on_trip=False)
    for answer in answers[:19]:
        permit = ours.admit()
        if permit is not None:
            ours.record(permit, Outcome.GOOD if answer else Outcome.BAD)
        with suppress(ZeroDivisionError, pybreaker.CircuitBreakerError):
            theirs.call(_answering(answer))
        assert ours.state == theirs.current_state


def _answering(answer: bool) -> Any:
    def call() -> None:
        if not answer:
            raise ZeroDivisionError

    return call


class Callers(RuleBasedStateMachine):
    """Callers who come, answer late, leave, and never forget to say what came of it."""

    def __init__(self) -> None:
        super().__init__()
        self.time = Time()
        self.one = breaker(self.time)
        self.under_way: list[Permit] = []
        self.state = self.one.state

    @rule()
    def come(self) -> None:
        waits = self.one.wait > 0
        permit = self.one.admit()
        if permit is not None:
            assert not waits
            self.under_way.append(permit)

    @precondition(lambda self: self.under_way)
    @rule(outcome=st.sampled_from(Outcome), slow=st.booleans(), number=st.integers(0, 1000))
    def answer(self, outcome: Outcome, slow: bool, number: int) -> None:
        permit = self.under_way.pop(number % len(self.under_way))
        self.one.record(permit, outcome, slow=slow)

    @rule(seconds=st.floats(0, 30, allow_nan=False))
    def wait(self, seconds: float) -> None:
        self.time.now += seconds

    @invariant()
    def it_changes_as_it_may(self) -> None:
        before, self.state = self.state, self.one.state
        assert (before, self.state) not in {
            ("open", "closed"),
            ("closed", "half-open"),
        }

    @invariant()
    def one_probe_at_most_is_under_way(self) -> None:
        probes = [permit for permit in self.under_way if permit.is_probe and permit.epoch == self.one._epoch]
        assert len(probes) <= (self.one.state == "half-open")

    def teardown(self) -> None:
        """A service that is well again is called again, at the latest after the longest wait."""
        for permit in self.under_way:
            self.one.record(permit, Outcome.NEUTRAL)
        self.time.now += self.one.wait
        attempt(self.one, Outcome.GOOD)
        assert self.one.state == "closed"


TestCallers = Callers.TestCase
TestCallers.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
