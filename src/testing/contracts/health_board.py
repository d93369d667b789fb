"""What every health board promises."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from encola.application.ports import HealthBoard
from encola.domain.health import ServiceHealth, ServiceStatus, Target
from encola.testing.builders import NOON, after

QUERY = Target("query", "http://query.test/base")
MOVED = replace(QUERY, base_url="http://query.test/other")
AGENT = Target("agent", QUERY.base_url)
UP = ServiceHealth(status=ServiceStatus.UP, since=NOON, checked_at=after(30.000_001))
DOWN = ServiceHealth(
    status=ServiceStatus.DOWN, since=NOON, checked_at=after(5), failures=3, problem="it answered 503: ñ"
)

PassTime = Callable[[timedelta], Awaitable[None]]


class HealthBoardContract:
    """The promise of :class:`~encola.application.ports.HealthBoard`. Subclass it and give the fixtures.

    ``pass_time`` lets a duration pass on the board's clock; where that is a real one, shorten ``ttl``.
    """

    ttl = timedelta(seconds=10)

    @pytest.fixture
    def board(self) -> HealthBoard:
        """Return an empty board."""
        raise NotImplementedError("return an empty board")

    @pytest.fixture
    def pass_time(self) -> PassTime:
        """Return what lets time pass."""
        raise NotImplementedError("return an async function of a timedelta")

    @pytest.mark.parametrize("health", [UP, DOWN, ServiceHealth()], ids=lambda health: health.status)
    async def test_what_was_noted_is_read_to_the_digit(
        self, board: HealthBoard, health: ServiceHealth
    ) -> None:
        await board.note(QUERY, health, pause=self.ttl)

        assert await board.read(QUERY) == health

    async def test_what_was_not_noted_is_not_there(self, board: HealthBoard) -> None:
        await board.note(QUERY, UP, pause=self.ttl)

        assert await board.read(AGENT) is None

    async def test_a_service_that_has_moved_is_another(self, board: HealthBoard) -> None:
        await board.note(QUERY, DOWN, pause=self.ttl)

        assert await board.read(MOVED) is None
        assert await board.take_turn(MOVED, ttl=self.ttl)

    async def test_the_later_note_takes_the_place_of_the_first(self, board: HealthBoard) -> None:
        await board.note(QUERY, UP, pause=self.ttl)
        await board.note(QUERY, DOWN, pause=self.ttl)

        assert await board.read(QUERY) == DOWN

    async def test_one_of_many_gets_the_turn(self, board: HealthBoard) -> None:
        won = await asyncio.gather(*(board.take_turn(QUERY, ttl=self.ttl) for _ in range(20)))

        assert sorted(won) == [False] * 19 + [True]

    async def test_each_service_has_a_turn_of_its_own(self, board: HealthBoard) -> None:
        await board.take_turn(QUERY, ttl=self.ttl)

        assert await board.take_turn(AGENT, ttl=self.ttl)

    async def test_a_turn_ends_with_its_time(self, board: HealthBoard, pass_time: PassTime) -> None:
        await board.take_turn(QUERY, ttl=self.ttl)

        await pass_time(self.ttl)

        assert await board.take_turn(QUERY, ttl=self.ttl)

    async def test_after_a_note_nobody_has_the_turn_until_the_pause_is_over(
        self, board: HealthBoard, pass_time: PassTime
    ) -> None:
        await board.take_turn(QUERY, ttl=self.ttl / 2)
        await board.note(QUERY, UP, pause=self.ttl)

        await pass_time(self.ttl / 2)
        assert not await board.take_turn(QUERY, ttl=self.ttl)

        await pass_time(self.ttl / 2)
        assert await board.take_turn(QUERY, ttl=self.ttl)

    async def test_what_was_noted_outlives_the_pause(self, board: HealthBoard, pass_time: PassTime) -> None:
        await board.note(QUERY, DOWN, pause=self.ttl)

        await pass_time(2 * self.ttl)

        assert await board.read(QUERY) == DOWN
