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

    def add(self, *, failed: bool, slow: bool) -> None:
        """Count one call."""
        number = int(self.now())
        self._forget(number)
        if not self._seconds or self._seconds[-1].number != number:
            self._seconds.append(_Second(number))
        second = self._seconds[-1]
        second.calls += 1
        second.failed += failed
        second.slow += slow

    @property
    def is_bad(self) -> bool:
        """Tell whether the service had better be left alone."""
        self._forget(int(self.now()))
        calls = sum(second.calls for second in self._seconds)
        if calls < FEWEST:
            return False
        failed = sum(second.failed for second in self._seconds)
        slow = sum(second.slow for second in self._seconds)
        return failed >= FAILED_SHARE * calls or slow >= SLOW_SHARE * calls

    def clear(self) -> None:
        """Begin anew."""
        self._seconds.clear()

    def _forget(self, number: int) -> None:
        while self._seconds and self._seconds[0].number <= number - SECONDS:
            self._seconds.popleft()
