"""What processes make of words that are lost, come twice, late and in any order."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from encola.adapters.http.breaker import Breaker, Outcome
from encola.adapters.redis.circuit_words import CircuitWords, Word, spell
from encola.application.ports import CircuitBoard, CircuitNews, HeardNews

SECOND = 1_000_000
OPENED = Word(number=100 * SECOND, teller="b", service="history", open_ms=5_000, windows=2)
CLOSED = Word(number=101 * SECOND, teller="b", service="history", open_ms=0, windows=1)


def words(now: float = 0.0) -> CircuitWords:
    return CircuitWords("a", lambda: now)


def test_a_word_is_news_once() -> None:
    one = words()

    assert one.hear(OPENED) == CircuitNews("history", 5.0, 2)
    assert one.hear(OPENED) is None


def test_an_older_word_is_none() -> None:
    one = words()
    one.hear(CLOSED)

    assert one.hear(OPENED) is None


def test_the_same_number_at_another_service_is_news() -> None:
    one = words()
    one.hear(OPENED)
    other = Word(OPENED.number, "b", "query", 5_000, 1)

    assert one.hear(other) == CircuitNews("query", 5.0)


def test_ones_own_word_is_none_and_makes_older_ones_old() -> None:
    one = words()

    assert one.hear(Word(CLOSED.number, "a", "history", 0, 1)) is None
    assert one.hear(OPENED) is None


def test_a_kept_word_says_what_is_left_of_it() -> None:
    assert words().hear(OPENED, clock=OPENED.number + 3 * SECOND) == CircuitNews("history", 2.0, 2)
    assert words().hear(OPENED, clock=OPENED.number + 5 * SECOND) is None
    assert words().hear(CLOSED, clock=CLOSED.number + 60 * SECOND) == CircuitNews("history", 0.0)


def test_a_clock_that_was_set_back_makes_no_window_longer() -> None:
    assert words().hear(OPENED, clock=OPENED.number - 3600 * SECOND) == CircuitNews("history", 5.0, 2)


def test_what_was_heard_before_ones_own_is_told_waits_for_the_next_look() -> None:
    one = words()
    one.note(CircuitNews("history", 10.0))
    early = one.hear(OPENED)
    [(untold, _)] = one.untold()
    one.told(untold, OPENED.number - 1)

    assert early is None
    assert one.hear(OPENED) == CircuitNews("history", 5.0, 2)


def test_what_was_told_before_ones_own_and_comes_after_it_is_old() -> None:
    one = words()
    one.note(CircuitNews("history", 0.0))
    [(untold, _)] = one.untold()
    one.told(untold, OPENED.number + 1)

    assert one.hear(OPENED) is None


def test_what_comes_after_it_was_sent_is_still_to_be_told() -> None:
    one = words()
    one.note(CircuitNews("history", 10.0))
    [(sent, _)] = one.untold()
    one.note(CircuitNews("history", 0.0))
    one.told(sent, 1)

    assert [news for _, news in one.untold()] == [CircuitNews("history", 0.0)]


def test_an_opening_is_told_late_with_the_time_that_is_left_and_not_at_all_when_it_is_over() -> None:
    now = 0.0
    one = CircuitWords("a", lambda: now)
    one.note(CircuitNews("history", 10.0))
    now = 4.0
    late = one.untold()
    now = 10.0

    assert [news.open_seconds for _, news in late] == [6.0]
    assert one.untold() == []


def test_another_redis_may_number_from_anew() -> None:
    one = words()
    one.hear(CLOSED)
    one.forget_numbers()

    assert one.hear(OPENED) == CircuitNews("history", 5.0, 2)


def test_a_word_is_read_as_it_was_spelt() -> None:
    news = CircuitNews("history-2", 4.0005, 3)

    assert Word.read(f"17 {spell(news, 'b')}".encode()) == Word(17, "b", "history-2", 4_000, 3)


def test_the_shortest_opening_is_not_spelt_as_a_closing() -> None:
    assert Word.read(f"17 {spell(CircuitNews('history', 0.0001), 'b')}".encode()).open_ms == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1 b history 5000",
        b"x b history 5000 1",
        b"1 b history -1 1",
        b"1 b history 5000 0",
        b"1 b history 86400001 1",
        b"1 b history 5000 1000001",
        b"\xff b history 5000 1",
    ],
)
def test_what_is_no_word_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        Word.read(data)


@dataclass
class Register:
    """What Redis does with words: numbers them, and keeps the last."""

    number: int = 0
    last: Word | None = None

    def tell(self, teller: str, news: CircuitNews) -> Word:
        self.number += 1
        self.last = Word.read(f"{self.number} {spell(news, teller)}".encode())
        return self.last


@dataclass
class Replica(CircuitBoard):
    """One process: its words, its breaker, and the words that are on their way to it."""

    name: str
    now: "Clock"
    on_the_way: list[Word] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.words = CircuitWords(self.name, self.now)
        self.breaker = Breaker("history", now=self.now, chance=lambda: 0.5, board=self)

    def tell(self, news: CircuitNews) -> None:
        self.words.note(news)

    def listen(self, heard: HeardNews) -> None: ...

    async def may_probe(self, service: str, seconds: float) -> bool:
        return True

    def hear(self, word: Word, clock: int | None = None) -> None:
        if news := self.words.hear(word, clock):
            self.breaker.hear(news)

    def call(self, outcome: Outcome) -> None:
        permit = self.breaker.admit() or asyncio.run(self.breaker.admit_probe())
        if permit is not None:
            self.breaker.record(permit, outcome)


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Replicas(RuleBasedStateMachine):
    """Two processes, between which words are lost, come twice, late and in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = Clock()
        self.register = Register()
        self.replicas = [Replica(name, self.now) for name in "ab"]

    replica = st.integers(0, 1)

    @rule(number=replica, outcome=st.sampled_from(Outcome), calls=st.integers(1, 5))
    def it_calls(self, number: int, outcome: Outcome, calls: int) -> None:
        for _ in range(calls):
            self.replicas[number].call(outcome)

    @rule(seconds=st.sampled_from([0.001, 1.0, 5.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.now.seconds += seconds
        self.register.number += int(seconds * SECOND)

    @rule(number=replica, reply_is_lost=st.booleans())
    def it_tells(self, number: int, reply_is_lost: bool) -> None:
        one = self.replicas[number]
        for untold, news in one.words.untold():
            word = self.register.tell(one.name, news)
            for other in self.replicas:
                other.on_the_way.append(word)
            if not reply_is_lost:
                one.words.told(untold, word.number)

    @precondition(lambda self: any(one.on_the_way for one in self.replicas))
    @rule(number=replica, which=st.integers(0, 100), again=st.booleans(), is_lost=st.booleans())
    def a_word_arrives(self, number: int, which: int, again: bool, is_lost: bool) -> None:
        one = self.replicas[number]
        if one.on_the_way:
            word = one.on_the_way[which % len(one.on_the_way)]
            if not again:
                one.on_the_way.remove(word)
            if not is_lost:
                one.hear(word)

    @rule(number=replica)
    def it_connects_anew(self, number: int) -> None:
        # What was on its way to the connection before is lost with it.
        self.replicas[number].on_the_way.clear()
        self.replicas[number].words.forget_numbers()

    @rule()
    def everybody_looks(self) -> None:
        """Whatever came before, all agree with the latest word after one look at what is kept."""
        for number in range(2):
            self.it_tells(number, False)
        for one in self.replicas:
            if self.register.last is not None:
                one.hear(self.register.last, self.register.number)
        self._all_agree()

    def _all_agree(self) -> None:
        last = self.register.last
        news = last and last.news(self.register.number)
        if news is None:
            return
        for one in self.replicas:
            state, wait = one.breaker.state, one.breaker.wait
            if news.open_seconds:
                assert state == "half-open" or (state == "open" and wait >= news.open_seconds - 0.002)
            else:
                # Or its own window ended before it could be told of, and its next call is a probe.
                assert state == "closed" or wait == 0

    def teardown(self) -> None:
        self.everybody_looks()


TestReplicas = Replicas.TestCase
TestReplicas.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
