import asyncio
from contextlib import suppress
from typing import Any

import pybreaker
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([1.0, 3.0, 30.0])), max_size=80))
@settings(max_examples=100)
def test_one_after_the_other_it_is_as_pybreaker(steps: list[tuple[bool, float]]) -> None:
    """At most ten calls in ten seconds, so that the window has nothing to say."""
    time = Time()
    ours = breaker(time)
    theirs = pybreaker.CircuitBreaker(fail_max=5, throw_new_error_on_trip=False)
    for answer, later in steps:
        time.now += later
        theirs.reset_timeout = 3600 if ours.wait else 0  # theirs has a clock that nobody can set
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


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def fleet(time: Time) -> list[Breaker]:
    """Return the breakers of four processes that hear each other."""
    circuits = MemoryCircuits(now=time)
    return [listening(time, InMemoryCircuitBoard(circuits)) for _ in range(4)]


def listening(time: Time, board: InMemoryCircuitBoard) -> Breaker:
    one = breaker(time, board)
    board.listen(one.hear)
    return one


def trip(one: Breaker) -> None:
    for _ in range(5):
        attempt(one, Outcome.BAD)


def test_what_one_finds_out_the_others_follow(time: Time, fleet: list[Breaker]) -> None:
    trip(fleet[0])
    opened_all = {(one.state, one.wait) for one in fleet}
    time.now += 5.0
    attempt(fleet[3], Outcome.GOOD)

    assert opened_all == {("open", 5.0)}
    assert {one.state for one in fleet} == {"closed"}
    assert {one.share() for one in fleet} == {0.25}


def test_what_was_heard_is_not_told_again(time: Time) -> None:
    circuits = MemoryCircuits(now=time)
    one, elsewhere = InMemoryCircuitBoard(circuits), InMemoryCircuitBoard(circuits)
    listening(time, one)
    echoes: list[CircuitNews] = []
    elsewhere.listen(echoes.append)
    for seconds in (5.0, 10.0, 0.0, 0.0):
        elsewhere.tell(CircuitNews("history", seconds))

    assert echoes == []


def test_of_two_hundred_callers_in_four_processes_one_probes_and_the_others_look_again_soon(
    time: Time, fleet: list[Breaker]
) -> None:
    trip(fleet[0])
    time.now += 5.0

    async def all_come() -> list[list[Permit | None]]:
        return await asyncio.gather(*(_together(one, 50) for one in fleet))

    permits = [permit for of_one in asyncio.run(all_come()) for permit in of_one if permit is not None]

    assert [permit.is_probe for permit in permits] == [True]
    assert sorted(one.wait for one in fleet) == [0.0, 0.5, 0.5, 0.5]


def test_a_prober_that_dies_costs_one_window(time: Time, fleet: list[Breaker]) -> None:
    trip(fleet[0])
    time.now += 5.0
    assert ask(fleet[0]) is not None  # and nothing is heard of it again
    while not (permit := ask(fleet[1])):
        time.now += 0.5

    assert permit.is_probe
    assert 105.0 + 0.8 * 5.0 <= time.now <= 105.0 + 5.0


def test_the_wait_doubles_for_all_whoever_probes(time: Time, fleet: list[Breaker]) -> None:
    trip(fleet[0])
    waits = []
    for prober in (1, 2, 3, 0, 1):
        waits.append({one.wait for one in fleet})
        time.now += fleet[0].wait
        attempt(fleet[prober], Outcome.BAD)

    assert waits == [{5.0}, {10.0}, {20.0}, {40.0}, {60.0}]


def test_who_heard_of_a_window_near_its_end_keeps_the_others_from_probing_as_long(time: Time) -> None:
    circuits = MemoryCircuits(now=time)
    late, other = (listening(time, InMemoryCircuitBoard(circuits)) for _ in range(2))
    late.hear(CircuitNews("history", 0.1))
    other.hear(CircuitNews("history", 0.1))
    time.now += 0.2
    assert ask(late) is not None
    time.now += 3.0

    assert ask(other) is None


def test_a_lease_from_a_long_outage_does_not_keep_others_from_probing_after_the_next(
    time: Time, fleet: list[Breaker]
) -> None:
    trip(fleet[0])
    for _ in range(5):
        time.now += fleet[0].wait
        attempt(fleet[0], Outcome.BAD)
    time.now += fleet[0].wait
    attempt(fleet[0], Outcome.GOOD)
    trip(fleet[1])
    time.now += 5.0

    assert ask(fleet[1]) is not None


def test_news_of_an_older_window_shorten_nothing(time: Time) -> None:
    one = opened(time)
    one.hear(CircuitNews("history", 1.0))
    unchanged = one.wait
    one.hear(CircuitNews("history", 30.0))

    assert (unchanged, one.wait) == (5.0, 30.0)


class NewsWhileAsking(InMemoryCircuitBoard):
    """Hears news while somebody asks for leave to probe, and answers as it is told."""

    def __init__(self, news: CircuitNews, answer: bool) -> None:
        super().__init__()
        self._news = news
        self._answer = answer

    async def may_probe(self, service: str, seconds: float) -> bool:
        await asyncio.sleep(0)
        self._heard(self._news)
        return self._answer


@pytest.mark.parametrize("answer", [True, False])
def test_who_hears_while_asking_that_the_window_is_longer_lets_nobody_through(
    time: Time, answer: bool
) -> None:
    one = listening(time, NewsWhileAsking(CircuitNews("history", 30.0), answer))
    trip(one)
    time.now += 5.0

    assert ask(one) is None
    assert (one.state, one.wait) == ("open", 30.0)


@pytest.mark.parametrize("answer", [True, False])
def test_who_hears_while_asking_that_the_service_is_back_lets_everybody_through(
    time: Time, answer: bool
) -> None:
    one = listening(time, NewsWhileAsking(CircuitNews("history", 0.0), answer))
    trip(one)
    time.now += 5.0
    permit = ask(one)

    assert permit is not None
    assert not permit.is_probe
    assert one.state == "closed"


class SlowToAnswer(InMemoryCircuitBoard):
    """Answers the first who asks never, and the others at once."""

    is_asked = False

    async def may_probe(self, service: str, seconds: float) -> bool:
        if not self.is_asked:
            self.is_asked = True
            await asyncio.Event().wait()
        return await super().may_probe(service, seconds)


def test_who_is_cancelled_while_asking_is_cancelled_and_the_next_may_ask(time: Time) -> None:
    one = breaker(time, SlowToAnswer())
    trip(one)
    time.now += 5.0

    async def come_and_leave() -> bool:
        asking = asyncio.create_task(one.admit_probe())
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})
        return asking.cancelled()

    assert asyncio.run(come_and_leave())
    assert ask(one) is not None
