import asyncio
from contextlib import suppress
from typing import Any

import pybreaker
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from encola.adapters.http.breaker import Breaker, Outcome, Permit
from encola.adapters.memory.circuit_board import InMemoryCircuitBoard, MemoryCircuits
from encola.application.ports import CircuitBoard, CircuitNews


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def breaker(time: Time, board: CircuitBoard | None = None) -> Breaker:
    return Breaker("history", now=time, chance=lambda: 0.5, board=board or InMemoryCircuitBoard())


def ask(one: Breaker) -> Permit | None:
    """Ask for leave as a caller does; a board in memory makes nobody wait."""
    return one.admit() or asyncio.run(one.admit_probe())


def attempt(one: Breaker, outcome: Outcome, *, slow: bool = False) -> Permit:
    permit = ask(one)
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
    assert ask(one) is None


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

    permits = asyncio.run(_together(one, 50))

    assert [permit for permit in permits if permit is not None] == [permits[0]]
    assert permits[0] is not None
    assert permits[0].is_probe


async def _together(one: Breaker, callers: int) -> list[Permit | None]:
    return await asyncio.gather(*(one.admit_probe() for _ in range(callers)))


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
        permit = ask(ours)
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


def test_a_service_that_is_just_back_gets_a_quarter_of_its_load_and_all_of_it_ten_seconds_later() -> None:
    time = Time()
    one = opened(time)
    before = one.share()
    time.now += 5.0
    attempt(one, Outcome.GOOD)
    shares = []
    for _ in range(5):
        shares.append(one.share())
        time.now += 2.5

    assert before == 1.0
    assert shares == [0.25, 0.4375, 0.625, 0.8125, 1.0]


class LossyBoard(InMemoryCircuitBoard):
    """Holds news back until somebody passes them on, loses them or says them twice."""

    def __init__(self, circuits: MemoryCircuits) -> None:
        super().__init__(circuits)
        self.held: list[CircuitNews] = []

    def tell(self, news: CircuitNews) -> None:
        self.held.append(news)

    def say(self, news: CircuitNews) -> None:
        super().tell(news)


def told(time: Time) -> tuple[Breaker, Breaker, LossyBoard]:
    """Return two breakers of which the first tells the second, when the board says so."""
    circuits = MemoryCircuits(now=time)
    boards = LossyBoard(circuits), LossyBoard(circuits)
    one, other = (breaker(time, board) for board in boards)
    boards[1].listen(other.hear)
    return one, other, boards[0]


def test_what_one_finds_out_the_other_follows_without_an_echo() -> None:
    time = Time()
    one, other, board = told(time)
    for _ in range(5):
        attempt(one, Outcome.BAD)
    board.say(board.held.pop())
    opened_both = (one.state, other.state, other.wait)
    time.now += 5.0
    attempt(one, Outcome.GOOD)
    board.say(board.held.pop())

    assert opened_both == ("open", "open", 5.0)
    assert (one.state, other.state) == ("closed", "closed")
    assert not board.held


def test_of_two_processes_one_probes_and_the_other_looks_again_soon() -> None:
    time = Time()
    one, other, board = told(time)
    for _ in range(5):
        attempt(one, Outcome.BAD)
    board.say(board.held.pop())
    time.now += 5.0
    probe = ask(one)

    assert probe is not None
    assert probe.is_probe
    assert ask(other) is None
    assert 0 < other.wait <= 1


def test_a_prober_that_dies_costs_one_window() -> None:
    time = Time()
    one, other, board = told(time)
    for _ in range(5):
        attempt(one, Outcome.BAD)
    board.say(board.held.pop())
    time.now += 5.0
    assert ask(one) is not None  # and nothing is heard of it again
    for _ in range(20):
        time.now += 0.5
        if permit := ask(other):
            break

    assert permit is not None
    assert time.now <= 105.0 + 5.0


def test_news_of_an_older_window_shorten_nothing() -> None:
    time = Time()
    one = opened(time)
    one.hear(CircuitNews("history", 1.0))
    unchanged = one.wait
    one.hear(CircuitNews("history", 30.0))

    assert (unchanged, one.wait) == (5.0, 30.0)


@given(
    st.lists(st.tuples(st.sampled_from(["bad", "good", "wait", "lose", "twice", "late"]), st.booleans())),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60)
def test_replicas_agree_once_the_latest_word_has_arrived(steps: list[tuple[str, bool]], random: Any) -> None:
    time = Time()
    circuits = MemoryCircuits(now=time)
    boards = LossyBoard(circuits), LossyBoard(circuits)
    pair = [breaker(time, board) for board in boards]
    for board, one in zip(boards, pair, strict=True):
        board.listen(one.hear)
    for step, first in steps:
        one, board = pair[not first], boards[not first]
        if step == "wait":
            time.now += 3.0
        elif step in ("bad", "good"):
            if permit := ask(one):
                one.record(permit, Outcome.BAD if step == "bad" else Outcome.GOOD)
        elif board.held:
            news = board.held.pop(random.randrange(len(board.held)))
            for _ in range({"lose": 0, "late": 1, "twice": 2}[step]):
                board.say(news)
    # What the look at the keys every second does: the latest word reaches everybody.
    time.now += 61.0
    for _ in range(2):
        for one, board in zip(pair, boards, strict=True):
            if permit := ask(one):
                one.record(permit, Outcome.GOOD)
            for news in board.held:
                board.say(news)
            board.held.clear()

    assert {one.state for one in pair} == {"closed"}


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
        permit = ask(self.one)
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
        assert (before, self.state) not in {("open", "closed"), ("closed", "half-open")}

    @invariant()
    def one_probe_at_most_is_under_way(self) -> None:
        probes = [
            permit for permit in self.under_way if permit.is_probe and permit.epoch == self.one._permit.epoch
        ]
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
