"""The breaker against its rules written down a second time, in one process of several."""

import asyncio
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from encola.adapters.http.breaker import Breaker, Outcome, Permit
from encola.adapters.memory.circuit_board import InMemoryCircuitBoard, MemoryCircuits
from encola.application.ports import CircuitNews, HeardNews

ALLOWED = {
    ("closed", "open"),
    ("open", "half-open"),
    ("half-open", "closed"),
    ("half-open", "open"),
}


class BoardWithACable(InMemoryCircuitBoard):
    """A board that can be cut off from the others."""

    is_cut = False

    def tell(self, news: CircuitNews) -> None:
        if not self.is_cut:
            super().tell(news)

    def listen(self, heard: HeardNews) -> None:
        super().listen(lambda news: None if self.is_cut else heard(news))

    async def may_probe(self, service: str, seconds: float) -> bool:
        return self.is_cut or await super().may_probe(service, seconds)


@dataclass
class Model:
    """What a circuit is to be; ``others_probe_until`` is how long only others may probe."""

    state: str = "closed"
    epoch: int = 0
    windows: int = 0
    until: float = 0.0
    in_a_row: int = 0
    others_probe_until: float = 0.0
    calls: list[tuple[int, bool, bool]] = field(default_factory=list)
    told: list[tuple[float, int]] = field(default_factory=list)

    def turn(self, state: str) -> None:
        self.state, self.epoch = state, self.epoch + 1
        if state == "closed":
            self.windows, self.in_a_row, self.calls = 0, 0, []

    def open(self, now: float) -> float:
        self.turn("open")
        self.windows += 1
        seconds = min(60.0, 5.0 * 2 ** (self.windows - 1))
        self.until = now + seconds
        return seconds

    def is_bad(self, now: float) -> bool:
        recent = [call for call in self.calls if call[0] > int(now) - 10]
        failed, slow = sum(call[1] for call in recent), sum(call[2] for call in recent)
        many = len(recent) >= 20
        return self.in_a_row >= 5 or (many and (2 * failed >= len(recent) or 10 * slow >= 8 * len(recent)))


class OneOfSeveral(RuleBasedStateMachine):
    """Calls that go well, fail, are slow or cancelled; time; other processes; and the way to them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.runner = asyncio.Runner()
        circuits = MemoryCircuits(now=lambda: self.now)
        self.board = BoardWithACable(circuits)
        self.one = Breaker("history", now=lambda: self.now, chance=lambda: 0.5, board=self.board)
        self.board.listen(self.one.hear)
        self.others = InMemoryCircuitBoard(circuits)
        self.heard_elsewhere: list[tuple[float, int]] = []
        self.others.listen(lambda news: self.heard_elsewhere.append((news.open_seconds, news.windows)))
        self.model = Model()
        self.under_way: list[Permit] = []

    @rule(callers=st.integers(1, 50))
    def callers_come(self, callers: int) -> None:
        before = self.model.state
        expected = self._expected(callers)
        permits = [permit for permit in self.runner.run(self._ask(callers)) if permit is not None]

        assert len(permits) == expected
        assert {permit.is_probe for permit in permits} <= {before != "closed"}
        self.under_way += permits

    @precondition(lambda self: self.under_way)
    @rule(outcome=st.sampled_from(Outcome), slow=st.booleans(), number=st.integers(0, 1000))
    def a_call_ends(self, outcome: Outcome, slow: bool, number: int) -> None:
        permit = self.under_way.pop(number % len(self.under_way))
        self.one.record(permit, outcome, slow=slow)
        if permit.epoch == self.model.epoch and outcome is not Outcome.NEUTRAL:
            self._expect_outcome(outcome is Outcome.BAD, slow)

    @precondition(lambda self: self.model.state == "closed")
    @rule(outcome=st.sampled_from(Outcome), slow=st.booleans(), calls=st.integers(1, 25))
    def many_are_called(self, outcome: Outcome, slow: bool, calls: int) -> None:
        for _ in range(calls):
            if permit := self.one.admit():
                self.under_way.append(permit)
                self.a_call_ends(outcome, slow, len(self.under_way) - 1)

    @rule(seconds=st.floats(0, 30, allow_nan=False))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(seconds=st.sampled_from([0.5, 5.0, 20.0, 60.0]), windows=st.integers(1, 6))
    def others_open(self, seconds: float, windows: int) -> None:
        self.others.tell(CircuitNews("history", seconds, windows))
        if self.board.is_cut:
            return
        if self.model.state != "open":
            self.model.turn("open")
            self.model.until = self.now
        self.model.windows = max(self.model.windows, windows)
        self.model.until = max(self.model.until, self.now + seconds)

    @rule()
    def others_close(self) -> None:
        self.others.tell(CircuitNews("history", 0.0))
        self.model.others_probe_until = min(self.model.others_probe_until, self.now + 1.0)
        if not self.board.is_cut and self.model.state != "closed":
            self.model.turn("closed")

    @rule(seconds=st.sampled_from([1.0, 10.0, 48.0]))
    def others_probe(self, seconds: float) -> None:
        if self.runner.run(self.others.may_probe("history", seconds)):
            self.model.others_probe_until = self.now + seconds

    @rule(is_cut=st.booleans())
    def the_way_to_others_changes(self, is_cut: bool) -> None:
        self.board.is_cut = is_cut

    @invariant()
    def it_is_as_the_rules_say(self) -> None:
        wait = max(0.0, self.model.until - self.now) if self.model.state != "closed" else 0.0
        assert (self.one.state, self.one.wait) == (self.model.state, wait)

    @invariant()
    def each_change_of_its_own_is_told_once_and_what_it_heard_never(self) -> None:
        assert self.heard_elsewhere == self.model.told

    @invariant()
    def one_probe_at_most_is_under_way(self) -> None:
        probes = [one for one in self.under_way if one.is_probe and one.epoch == self.model.epoch]
        assert len(probes) <= (self.one.state == "half-open")

    def teardown(self) -> None:
        """A service that is well is called again one window and one call later."""
        for permit in self.under_way:
            self.one.record(permit, Outcome.NEUTRAL)
        self.now = max(self.model.until, self.model.others_probe_until, self.now)
        was_closed = self.one.state == "closed"
        permit = self.runner.run(self._ask(1))[0]
        self.runner.close()
        assert permit is not None
        self.one.record(permit, Outcome.GOOD)
        # A closed circuit may open even now, when of twenty calls this one alone was quick.
        assert was_closed or self.one.state == "closed"

    async def _ask(self, callers: int) -> list[Permit | None]:
        async def ask() -> Permit | None:
            return self.one.admit() or await self.one.admit_probe()

        return await asyncio.gather(*(ask() for _ in range(callers)))

    def _expected(self, callers: int) -> int:
        model = self.model
        if model.state == "closed":
            return callers
        is_probed = any(permit.is_probe and permit.epoch == model.epoch for permit in self.under_way)
        if self.now < model.until or is_probed:
            return 0
        if not self.board.is_cut and self.now < model.others_probe_until:
            model.until = self.now + 0.5
            return 0
        if model.state == "open":
            model.turn("half-open")
        return 1

    def _expect_outcome(self, bad: bool, slow: bool) -> None:
        model, before = self.model, self.model.state
        if before == "closed":
            model.in_a_row = model.in_a_row + 1 if bad else 0
            model.calls.append((int(self.now), bad, slow))
            bad = model.is_bad(self.now)
        if before == "half-open" and not bad:
            model.turn("closed")
            self._expect_told(0.0, 1)
        elif bad:
            self._expect_told(model.open(self.now), model.windows)
        assert before == self.one.state or (before, self.one.state) in ALLOWED

    def _expect_told(self, seconds: float, windows: int) -> None:
        if not self.board.is_cut:
            self.model.told.append((seconds, windows))


TestOneOfSeveral = OneOfSeveral.TestCase
TestOneOfSeveral.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
