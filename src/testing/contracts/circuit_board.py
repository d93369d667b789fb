"""What every board of circuits promises."""

import asyncio

import pytest

from encola.application.ports import CircuitBoard, CircuitNews
from encola.testing.contracts import steps

OPENED = CircuitNews("history", 5.0)
CLOSED = CircuitNews("history", 0.0)


class Listener:
    """What a process hears of the others."""

    def __init__(self, board: CircuitBoard) -> None:
        self.heard: list[CircuitNews] = []
        self._changed = asyncio.Event()
        board.listen(self._hear)

    async def hears(self, news: CircuitNews) -> CircuitNews:
        """Return once such news has been heard, with the time that it was given."""
        async with asyncio.timeout(steps.PATIENCE):
            while True:
                for heard in self.heard:
                    if heard.service == news.service and bool(heard.open_seconds) == bool(news.open_seconds):
                        return heard
                self._changed.clear()
                await self._changed.wait()

    def _hear(self, news: CircuitNews) -> None:
        self.heard.append(news)
        self._changed.set()


class CircuitBoardContract:
    """The promise of :class:`~encola.application.ports.CircuitBoard`.

    Subclass it and give ``boards``: two of them, of two processes, that know the services ``history``
    and ``query``.
    """

    @pytest.fixture
    def boards(self) -> tuple[CircuitBoard, CircuitBoard]:
        """Return the boards of two processes."""
        raise NotImplementedError("return two boards")

    async def test_the_other_hears_what_one_tells_and_one_does_not(
        self, boards: tuple[CircuitBoard, CircuitBoard]
    ) -> None:
        one, other = boards
        own, others = Listener(one), Listener(other)
        one.tell(OPENED)
        opened = await others.hears(OPENED)
        one.tell(CLOSED)
        await others.hears(CLOSED)
        other.tell(CircuitNews("query", 1.0))
        await own.hears(CircuitNews("query", 1.0))

        assert 0 < opened.open_seconds <= 5.0
        assert {news.service for news in own.heard} == {"query"}

    async def test_one_of_all_may_probe_until_its_time_is_over(
        self, boards: tuple[CircuitBoard, CircuitBoard]
    ) -> None:
        one, other = boards

        assert await one.may_probe("history", 0.2)
        assert await one.may_probe("history", 0.2)
        assert not await other.may_probe("history", 0.2)
        assert await other.may_probe("query", 0.2)
        await asyncio.sleep(0.25)
        assert await other.may_probe("history", 5.0)
        assert not await one.may_probe("history", 5.0)

    async def test_of_many_that_ask_at_once_one_may(self, boards: tuple[CircuitBoard, CircuitBoard]) -> None:
        answers = await asyncio.gather(*(board.may_probe("history", 5.0) for board in boards))

        assert sorted(answers) == [False, True]
