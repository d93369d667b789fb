"""What came of the calls of the last ten seconds."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

SECONDS = 10
FEWEST = 20
FAILED_SHARE = 0.5
SLOW_SHARE = 0.8


@dataclass(slots=True)
class _Second:
    number: int
    calls: int = 0
    failed: int = 0
    slow: int = 0


@dataclass(slots=True)
class CallWindow:
    """Counts calls by the second, and says when a service is too bad to be called.

    That is when, of at least twenty calls, half failed or four fifths were slow: rates and not runs,
    so that one good answer among many bad ones changes nothing. The rules are resilience4j's and
    Polly's, with thresholds for services that are called less often.

    :param now: monotonic seconds
    """

    now: Callable[[], float]
    _seconds: deque[_Second] = field(init=False, default_factory=deque)
    _total: _Second = field(init=False, default_factory=lambda: _Second(0))

    def add(self, *, failed: bool, slow: bool) -> None:
        """Count one call."""
        number = int(self.now())
        if not self._seconds or self._seconds[-1].number != number:
            self._forget(number)
            self._seconds.append(_Second(number))
        for second in (self._seconds[-1], self._total):
            second.calls += 1
            second.failed += failed
            second.slow += slow

    @property
    def is_bad(self) -> bool:
        """Tell whether the service had better be left alone."""
        if not self._total.failed and not self._total.slow:
            return False
        self._forget(int(self.now()))
        total = self._total
        if total.calls < FEWEST:
            return False
        return total.failed >= FAILED_SHARE * total.calls or total.slow >= SLOW_SHARE * total.calls

    def clear(self) -> None:
        """Begin anew."""
        self._seconds.clear()
        self._total = _Second(0)

    def _forget(self, number: int) -> None:
        while self._seconds and self._seconds[0].number <= number - SECONDS:
            gone = self._seconds.popleft()
            self._total.calls -= gone.calls
            self._total.failed -= gone.failed
            self._total.slow -= gone.slow
