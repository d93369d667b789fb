"""How many repetitions a service can bear."""

from collections.abc import Callable
from dataclasses import dataclass, field

MOST = 10.0
PER_SUCCESS = 0.1
PER_SECOND = 1.0


@dataclass(slots=True)
class RetryBudget:
    """A store of tokens that repetitions use up, and successes and time fill again.

    A tenth of a token a success is the 10 % of the SRE book (chapter 21) and gRPC's ``tokenRatio``
    (proposal A6); one a second lets rare calls be repeated too, as Finagle's budget does. So over
    any ``t`` seconds there are at most ``10 + successes / 10 + t`` repetitions, however many callers
    fail at once. One budget a service; used on one event loop.

    :param now: monotonic seconds
    """

    now: Callable[[], float]
    _tokens: float = field(init=False, default=MOST)
    _filled_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._filled_at = self.now()

    @property
    def tokens(self) -> float:
        """Return how many repetitions are left, with fractions."""
        self._fill()
        return self._tokens

    def succeeded(self) -> None:
        """Note an attempt that the service answered well."""
        self._fill()
        self._tokens = min(MOST, self._tokens + PER_SUCCESS)

    def take(self) -> bool:
        """Use up one repetition, and tell whether there was one."""
        self._fill()
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _fill(self) -> None:
        now = self.now()
        self._tokens = min(MOST, self._tokens + (now - self._filled_at) * PER_SECOND)
        self._filled_at = now
