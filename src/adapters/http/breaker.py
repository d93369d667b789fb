"""Leaving a service alone that does not answer, and finding out when it does again."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final

import pybreaker

from encola.adapters.http.call_window import CallWindow

IN_A_ROW: Final = 5
FIRST_OPEN: Final = 5.0
LONGEST_OPEN: Final = 60.0
SPREAD: Final = 0.2


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
    one takes a cancelled caller for a failure. So admission is here: ``admit`` before an attempt,
    ``record`` after it, both without waiting, and pybreaker is only told what came of it.

    Closed, it opens after five failures in a row or when the window is bad. Open, it lets nobody
    through for five seconds, doubled with each vain probe up to a minute, give or take a fifth. Then
    one probe decides. What an attempt says that began before the last change is not heard.

    :param now: monotonic seconds
    :param chance: uniform in [0, 1)
    """

    def __init__(self, name: str, *, now: Callable[[], float], chance: Callable[[], float]) -> None:
        self._now = now
        self._chance = chance
        self._window = CallWindow(now)
        self._circuit = pybreaker.CircuitBreaker(
            name=name,
            fail_max=IN_A_ROW,
            # When to probe is decided here; with its own wall clock pybreaker would decide again.
            reset_timeout=float("inf"),
            listeners=[self],
            throw_new_error_on_trip=False,
        )
        self._epoch = 0
        self._vain = 0
        self._open_until = 0.0
        self._is_probed = False

    @property
    def state(self) -> str:
        """Return ``closed``, ``open`` or ``half-open``."""
        return self._circuit.current_state

    @property
    def wait(self) -> float:
        """Return in how many seconds somebody may be let through; 0 when now."""
        return max(0.0, self._open_until - self._now()) if self.state != pybreaker.STATE_CLOSED else 0.0

    def admit(self) -> Permit | None:
        """Give leave for one attempt, or ``None`` while the service is left alone.

        Whoever has a permit must :meth:`record` what came of it, whatever happens.
        """
        if self.state == pybreaker.STATE_CLOSED:
            return Permit(self._epoch, is_probe=False)
        if self.wait > 0 or self._is_probed:
            return None
        if self.state == pybreaker.STATE_OPEN:
            self._circuit.half_open()
        self._is_probed = True
        return Permit(self._epoch, is_probe=True)

    def record(self, permit: Permit, outcome: Outcome, *, slow: bool = False) -> None:
        """Hear what came of an attempt that was let through."""
        if permit.epoch != self._epoch:
            return
        if permit.is_probe:
            self._is_probed = False
        if outcome is Outcome.NEUTRAL:
            return
        self._window.add(failed=outcome is Outcome.BAD, slow=slow)
        with suppress(_Bad, pybreaker.CircuitBreakerError):
            self._circuit.call(_good if outcome is Outcome.GOOD else _bad)
        if self.state == pybreaker.STATE_CLOSED and self._window.is_bad:
            self._circuit.open()

    def state_change(self, cb: pybreaker.CircuitBreaker, old_state: object, new_state: object) -> None:
        """Follow pybreaker into its new state; pybreaker calls this."""
        self._epoch += 1
        self._is_probed = False
        name = getattr(new_state, "name", "")
        if name == pybreaker.STATE_OPEN:
            self._stay_open()
        elif name == pybreaker.STATE_CLOSED:
            self._vain = 0
            self._window.clear()

    def _stay_open(self) -> None:
        seconds = min(LONGEST_OPEN, FIRST_OPEN * 2.0 ** min(self._vain, 32))
        self._vain += 1
        self._open_until = self._now() + seconds * (1 - SPREAD + 2 * SPREAD * self._chance())


def _good() -> None:
    return


def _bad() -> None:
    raise _Bad
