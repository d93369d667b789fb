"""What every board of circuits promises."""

import asyncio

import pytest

from encola.application.ports import CircuitBoard, CircuitNews
from encola.testing.contracts import steps

OPENED = CircuitNews("history", 5.0, windows=3)
CLOSED = CircuitNews("history", 0.0)
SHORT = 0.2
LONG = 60.0

Boards = tuple[CircuitBoard, CircuitBoard]


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
    def boards(self) -> Boards:
        """Return the boards of two processes."""
        raise NotImplementedError("return two boards")

    async def test_the_other_hears_what_one_tells_and_one_does_not(self, boards: Boards) -> None:
        one, other = boards
        own, others = Listener(one), Listener(other)
        one.tell(OPENED)
        opened = await others.hears(OPENED)
        one.tell(CLOSED)
        await others.hears(CLOSED)
        other.tell(CircuitNews("query", 1.0))
        await own.hears(CircuitNews("query", 1.0))

        assert 0 < opened.open_seconds <= OPENED.open_seconds
        assert opened.windows == OPENED.windows
        assert {news.service for news in own.heard} == {"query"}

    async def test_what_was_told_last_is_heard_last(self, boards: Boards) -> None:
        one, other = boards
        others = Listener(other)
        for seconds in (5.0, 0.0, 4.0, 0.0):
            one.tell(CircuitNews("history", seconds))
        one.tell(CircuitNews("query", 0.0))
        await others.hears(CLOSED)
        await others.hears(CircuitNews("query", 0.0))

        assert [news for news in others.heard if news.service == "history"][-1] == CLOSED

    async def test_one_of_all_may_probe_and_that_one_again(self, boards: Boards) -> None:
        one, other = boards

        assert await one.may_probe("history", LONG)
        assert await one.may_probe("history", LONG)
        assert not await other.may_probe("history", LONG)
        assert await other.may_probe("query", LONG)
        assert not await one.may_probe("query", LONG)

    async def test_of_many_that_ask_at_once_one_may(self, boards: Boards) -> None:
        answers = await asyncio.gather(*(board.may_probe("history", LONG) for board in boards))

        assert sorted(answers) == [False, True]

    async def test_another_may_probe_when_the_time_is_over(self, boards: Boards) -> None:
        one, other = boards
        await one.may_probe("history", SHORT)
        await _until_may_probe(other)

        assert not await one.may_probe("history", LONG)

    async def test_who_may_probe_again_has_the_whole_time_again(self, boards: Boards) -> None:
        one, other = boards
        await one.may_probe("history", SHORT)
        await one.may_probe("history", LONG)
        await asyncio.sleep(1.5 * SHORT)

        assert not await other.may_probe("history", LONG)

    async def test_news_give_nobody_more_time_to_probe(self, boards: Boards) -> None:
        one, other = boards
        others = Listener(other)
        await one.may_probe("history", SHORT)
        one.tell(CircuitNews("history", LONG))
        await others.hears(OPENED)

        await _until_may_probe(other)

    async def test_another_may_probe_soon_after_it_was_told_to_be_closed(self, boards: Boards) -> None:
        one, other = boards
        await one.may_probe("history", LONG)
        one.tell(CLOSED)

        await _until_may_probe(other)


async def _until_may_probe(board: CircuitBoard) -> None:
    async with asyncio.timeout(steps.PATIENCE):
        while not await board.may_probe("history", LONG):  # noqa: ASYNC110 - nobody tells when it is over
            await asyncio.sleep(SHORT / 10)
