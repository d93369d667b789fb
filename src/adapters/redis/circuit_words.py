"""What one process has heard of circuits, and what it has still to tell."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from encola.application.ports import CircuitNews

LONGEST_WINDOW_MS: Final = 86_400_000
LONGEST_ROW: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Word:
    """What is kept and said of one circuit.

    :param number: microseconds of Redis' own clock; of two words the later one has the higher number
    :param teller: the process whose word it is
    """

    number: int
    teller: str
    service: str
    open_ms: int
    windows: int

    @classmethod
    def read(cls, data: bytes) -> "Word":
        """Return the word that was kept or said.

        :raises ValueError: it is none of ours
        """
        number, teller, service, open_ms, windows = data.decode().split(" ")
        word = cls(int(number), teller, service, int(open_ms), int(windows))
        if not (0 <= word.open_ms <= LONGEST_WINDOW_MS and 1 <= word.windows <= LONGEST_ROW):
            raise ValueError("no circuit is open for so long")
        return word

    def news(self, clock: int) -> CircuitNews | None:
        """Return what the word says at this time of Redis' clock; an opening that is over says nothing."""
        if not self.open_ms:
            return CircuitNews(self.service, 0.0)
        # A clock that was set back makes no window longer than it was.
        left = self.open_ms / 1000 - max(0, clock - self.number) / 1_000_000
        return CircuitNews(self.service, left, self.windows) if left > 0 else None


def spell(news: CircuitNews, teller: str) -> str:
    """Return the rest of a word, which Redis numbers."""
    return f"{teller} {news.service} {milliseconds(news.open_seconds)} {news.windows}"


def milliseconds(seconds: float) -> int:
    """Return a duration as Redis takes it; only nothing is 0."""
    return max(1, round(seconds * 1000)) if seconds else 0


@dataclass(frozen=True, slots=True)
class Untold:
    """News that came at an instant of this process's clock and are still to be told."""

    news: CircuitNews
    noted_at: float

    def at(self, now: float) -> CircuitNews | None:
        """Return the news as they are now; an opening that is over is none."""
        if not self.news.open_seconds:
            return self.news
        left = self.news.open_seconds - (now - self.noted_at)
        return replace(self.news, open_seconds=left) if left > 0 else None


class CircuitWords:
    """Decides what of all words is news for this process.

    Words may come twice, late and in any order: of each circuit the one with the highest number
    counts. While a process has a word of its own to tell, that will be a later one than any it hears.

    :param teller: the name of this process
    :param now: monotonic seconds
    """

    def __init__(self, teller: str, now: Callable[[], float]) -> None:
        self.teller = teller
        self._now = now
        self._latest: dict[str, int] = {}
        self._untold: dict[str, Untold] = {}

    def note(self, news: CircuitNews) -> None:
        """Keep what is to be told, in place of what was to be told of the same circuit."""
        self._untold[news.service] = Untold(news, self._now())

    def untold(self) -> list[tuple[Untold, CircuitNews]]:
        """Return what is to be told, as it was noted and as it is now; what is over is dropped."""
        due = [(untold, untold.at(self._now())) for untold in self._untold.values()]
        self._untold = {untold.news.service: untold for untold, news in due if news is not None}
        return [(untold, news) for untold, news in due if news is not None]

    def told(self, untold: Untold, number: int) -> None:
        """Count it as told under this number."""
        service = untold.news.service
        self._latest[service] = number
        if self._untold.get(service) is untold:
            del self._untold[service]

    def hear(self, word: Word, clock: int | None = None) -> CircuitNews | None:
        """Return what a word says that is news here; without a clock it was said just now."""
        if word.service in self._untold or word.number <= self._latest.get(word.service, 0):
            return None
        self._latest[word.service] = word.number
        if word.teller == self.teller:
            return None
        return word.news(word.number if clock is None else clock)

    def forget_numbers(self) -> None:
        """Take the next words for the latest, as from another Redis whose clock may be behind."""
        self._latest.clear()
