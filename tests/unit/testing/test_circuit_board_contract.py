"""The contract of boards of circuits is worth what it catches."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from encola.adapters.memory import InMemoryCircuitBoard, MemoryCircuits
from encola.application.ports import CircuitNews
from encola.testing.contracts import CircuitBoardContract

CONTRACT = CircuitBoardContract()


class BoardWithAnEcho(InMemoryCircuitBoard):
    def tell(self, news: CircuitNews) -> None:
        super().tell(news)
        self._heard(news)


class BoardThatTellsNobody(InMemoryCircuitBoard):
    def tell(self, news: CircuitNews) -> None:
        pass


class BoardThatForgetsHowOften(InMemoryCircuitBoard):
    def tell(self, news: CircuitNews) -> None:
        super().tell(replace(news, windows=1))


class BoardThatEndsWithOldNews(InMemoryCircuitBoard):
    def tell(self, news: CircuitNews) -> None:
        if news.open_seconds != 4.0:
            super().tell(news)
        if not news.open_seconds:
            super().tell(replace(news, open_seconds=5.0))


class BoardThatLetsEverybodyProbe(InMemoryCircuitBoard):
    async def may_probe(self, service: str, seconds: float) -> bool:
        return True


class BoardWithOneProbeForAllServices(InMemoryCircuitBoard):
    async def may_probe(self, service: str, seconds: float) -> bool:
        return await super().may_probe("", seconds)


class BoardThatRefusesItsHolder(InMemoryCircuitBoard):
    async def may_probe(self, service: str, seconds: float) -> bool:
        is_free = service not in self._circuits.probes
        return await super().may_probe(service, seconds) and is_free


class BoardThatNeverLetsGo(InMemoryCircuitBoard):
    async def may_probe(self, service: str, seconds: float) -> bool:
        return await super().may_probe(service, 3600.0)


class BoardThatDoesNotRenew(InMemoryCircuitBoard):
    async def may_probe(self, service: str, seconds: float) -> bool:
        holder, until = self._circuits.probes.get(service, (None, 0.0))
        if holder is self and until > self._circuits.now():
            return True
        return await super().may_probe(service, seconds)


class BoardWhoseNewsGiveMoreTime(InMemoryCircuitBoard):
    def tell(self, news: CircuitNews) -> None:
        super().tell(news)
        for service, (holder, until) in self._circuits.probes.items():
            self._circuits.probes[service] = (holder, until + news.open_seconds)


class BoardThatKeepsTheProbeOfAClosedCircuit(InMemoryCircuitBoard):
    def tell(self, news: CircuitNews) -> None:
        kept = dict(self._circuits.probes)
        super().tell(news)
        self._circuits.probes.update(kept)


@pytest.mark.parametrize(
    ("broken", "contract_test"),
    [
        (BoardWithAnEcho, CONTRACT.test_the_other_hears_what_one_tells_and_one_does_not),
        (BoardThatTellsNobody, CONTRACT.test_the_other_hears_what_one_tells_and_one_does_not),
        (BoardThatForgetsHowOften, CONTRACT.test_the_other_hears_what_one_tells_and_one_does_not),
        (BoardThatEndsWithOldNews, CONTRACT.test_what_was_told_last_is_heard_last),
        (BoardThatLetsEverybodyProbe, CONTRACT.test_one_of_all_may_probe_and_that_one_again),
        (BoardThatLetsEverybodyProbe, CONTRACT.test_of_many_that_ask_at_once_one_may),
        (BoardWithOneProbeForAllServices, CONTRACT.test_one_of_all_may_probe_and_that_one_again),
        (BoardThatRefusesItsHolder, CONTRACT.test_one_of_all_may_probe_and_that_one_again),
        (BoardThatNeverLetsGo, CONTRACT.test_another_may_probe_when_the_time_is_over),
        (BoardThatDoesNotRenew, CONTRACT.test_who_may_probe_again_has_the_whole_time_again),
        (BoardWhoseNewsGiveMoreTime, CONTRACT.test_news_give_nobody_more_time_to_probe),
        (
            BoardThatKeepsTheProbeOfAClosedCircuit,
            CONTRACT.test_another_may_probe_soon_after_it_was_told_to_be_closed,
        ),
    ],
    ids=lambda value: value.__name__,
)
async def test_broken_boards_are_caught(
    broken: type[InMemoryCircuitBoard], contract_test: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("encola.testing.contracts.steps.PATIENCE", 1.5)
    circuits = MemoryCircuits()

    with pytest.raises((AssertionError, TimeoutError)):
        await contract_test((broken(circuits), broken(circuits)))  # type: ignore[misc]
