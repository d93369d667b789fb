"""Leaving a service alone that does not answer, and finding out when it does again."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final

import pybreaker

from encola.adapters.http.call_window import CallWindow
from encola.application.ports import CircuitBoard, CircuitNews

IN_A_ROW: Final = 5
FIRST_OPEN: Final = 5.0
LONGEST_OPEN: Final = 60.0
SPREAD: Final = 0.2
LOOK_AGAIN: Final = 0.5
FIRST_SHARE: Final = 0.25
RAMP_SECONDS: Final = 10.0


class Outcome(Enum):
    """What an attempt says of the service; ``NEUTRAL`` says nothing, as a caller that left."""

    GOOD = "good"
    BAD = "bad"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one attempt; ``epoch`` is the state that gave it."""

    epoch: int
    is_probe: bool


class _Bad(Exception):
    """Stands for an attempt's failure inside of pybreaker."""


class Breaker(pybreaker.CircuitBreakerListener):
    """The circuit breaker of one service, for many callers on one event loop.

    pybreaker knows the states and when five failures in a row change them. It cannot guard an
    ``await``: of its entry points one never sees a failure, one lets every waiting caller probe, and
    one takes a cancelled caller for a failure. So admission is here: ``admit`` or ``admit_probe``
    before an attempt, ``record`` after it, and pybreaker is only told what came of it.

    Closed, it opens after five failures in a row or when the window is bad. Open, it lets nobody
    through for five seconds, doubled with each vain probe up to a minute, give or take a fifth. Then
    one probe decides, of all processes that share the board; one that does not end, or whose process
    dies, keeps the others from probing for one window at most. What an attempt says that began before
    the last change is not heard.

    :param now: monotonic seconds
    :param chance: uniform in [0, 1)
    :param board: tells the other processes, and :meth:`hear` is what they tell
    :param first_open: how many seconds it stays open the first time
    :param changed: told of each new state
    """

    def __init__(
        self,
        name: str,
        *,
        now: Callable[[], float],
        chance: Callable[[], float],
        board: CircuitBoard,
        first_open: float = FIRST_OPEN,
        changed: Callable[[str], None] = lambda state: None,
    ) -> None:
        self._name = name
        self._now = now
        self._chance = chance
        self._board = board
        self._first_open = first_open
        self._changed = changed
        self._window = CallWindow(now)
        self._circuit = pybreaker.CircuitBreaker(
            name=name,
            fail_max=IN_A_ROW,
            # When to probe is decided here; with its own wall clock pybreaker would decide again.
            reset_timeout=float("inf"),
            throw_new_error_on_trip=False,
        )
        self._circuit.add_listener(self)
        self._state = pybreaker.STATE_CLOSED
        self._permit = Permit(0, is_probe=False)
        self._windows = 0
        self._open_until = 0.0
        self._closed_at: float | None = None
        self._is_probed = False
        self._is_told = False

    @property
    def state(self) -> str:
        """Return ``closed``, ``open`` or ``half-open``."""
        return self._state

    @property
    def wait(self) -> float:
        """Return in how many seconds somebody may be let through; 0 when now."""
        return max(0.0, self._open_until - self._now()) if self._state != pybreaker.STATE_CLOSED else 0.0

    def share(self) -> float:
        """Return how much of the usual load the service gets: a quarter when it is just back, then more."""
        if self._closed_at is None:
            return 1.0
        share = FIRST_SHARE + (1 - FIRST_SHARE) * (self._now() - self._closed_at) / RAMP_SECONDS
        if share >= 1.0:
            self._closed_at = None
        return min(1.0, share)

    def admit(self) -> Permit | None:
        """Give leave for one attempt while the circuit is closed.

        Whoever has a permit must :meth:`record` what came of it, whatever happens.
        """
        return self._permit if self._state == pybreaker.STATE_CLOSED else None

    async def admit_probe(self) -> Permit | None:
        """Give leave for the one attempt that finds out whether the service is back, or ``None``."""
        if self.wait > 0 or self._is_probed:
            return None
        epoch = self._permit.epoch
        self._is_probed = True
        try:
            may_probe = await self._board.may_probe(self._name, self._lease)
        except BaseException:
            self._is_probed = self._is_probed and self._permit.epoch != epoch
            raise
        if self._permit.epoch != epoch:
            return self.admit()
        self._is_probed = may_probe and not self.wait
        if not self._is_probed:
            # Another process found out just now, or is about to.
            self._open_until = max(self._open_until, self._now() + LOOK_AGAIN)
            return None
        if self._state == pybreaker.STATE_OPEN:
            self._circuit.half_open()
            self._is_probed = True
        return Permit(self._permit.epoch, is_probe=True)

    def record(self, permit: Permit, outcome: Outcome, *, slow: bool = False) -> None:
        """Hear what came of an attempt that was let through."""
        if permit.epoch != self._permit.epoch:
            return
        if permit.is_probe:
            self._is_probed = False
        if outcome is Outcome.NEUTRAL:
            return
        self._window.add(failed=outcome is Outcome.BAD, slow=slow)
        # A good answer while nothing is wrong changes nothing in pybreaker.
        if outcome is Outcome.BAD or permit.is_probe or self._circuit.fail_counter:
            with suppress(_Bad, pybreaker.CircuitBreakerError):
                self._circuit.call(_good if outcome is Outcome.GOOD else _bad)
        if self._state == pybreaker.STATE_CLOSED and self._window.is_bad:
            self._circuit.open()

    def hear(self, news: CircuitNews) -> None:
        """Follow what another process found out; an older window never shortens the present one."""
        self._is_told = True
        try:
            if news.open_seconds:
                self._follow(news)
            elif self._state != pybreaker.STATE_CLOSED:
                self._circuit.close()
        finally:
            self._is_told = False

    def state_change(self, cb: pybreaker.CircuitBreaker, old_state: object, new_state: object) -> None:
        """Follow pybreaker into its new state; pybreaker calls this."""
        self._state = getattr(new_state, "name", "")
        self._permit = Permit(self._permit.epoch + 1, is_probe=False)
        self._is_probed = False
        self._changed(self._state)
        if self._state == pybreaker.STATE_CLOSED:
            self._windows = 0
            self._closed_at = self._now()
            self._window.clear()
            if not self._is_told:
                self._board.tell(CircuitNews(self._name, 0.0))
        elif self._state == pybreaker.STATE_OPEN and not self._is_told:
            self._stay_open()

    def _follow(self, news: CircuitNews) -> None:
        if self._state != pybreaker.STATE_OPEN:
            self._circuit.open()
            self._open_until = self._now()
        self._windows = max(self._windows, news.windows)
        self._open_until = max(self._open_until, self._now() + news.open_seconds)

    def _stay_open(self) -> None:
        self._windows += 1
        seconds = self._window_seconds * (1 - SPREAD + 2 * SPREAD * self._chance())
        self._open_until = self._now() + seconds
        self._board.tell(CircuitNews(self._name, seconds, self._windows))

    @property
    def _window_seconds(self) -> float:
        return min(LONGEST_OPEN, self._first_open * 2.0 ** min(self._windows - 1, 32))

    @property
    def _lease(self) -> float:
        """Return for how long no other process may probe: a window at its shortest, as none outlasts it."""
        return self._window_seconds * (1 - SPREAD)


def _good() -> None:
    return


def _bad() -> None:
    raise _Bad
