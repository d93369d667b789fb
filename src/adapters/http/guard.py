"""What stands between the callers and one service."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from encola.adapters.http.breaker import Breaker, Outcome
from encola.adapters.http.bulkhead import Bulkhead
from encola.adapters.http.failures import Failure
from encola.adapters.http.retry_budget import RetryBudget
from encola.domain.service import ServiceCall

SLOW_SHARE = 0.8
FAIR_SHARE = 0.5
LONG_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ServiceGuard:
    """The breaker, the places and the repetitions of one service."""

    breaker: Breaker
    budget: RetryBudget
    bulkhead: Bulkhead = field(default_factory=Bulkhead)

    @classmethod
    def of(cls, service: str, now: Callable[[], float], chance: Callable[[], float]) -> "ServiceGuard":
        """Return a guard that knows nothing bad of the service yet."""
        return cls(Breaker(service, now=now, chance=chance), RetryBudget(now))


class Judgement:
    """What an attempt said of its service; nothing, unless somebody says so."""

    def __init__(self, call: ServiceCall) -> None:
        self._call = call
        self.outcome = Outcome.NEUTRAL
        self.is_slow = False

    def reached(self, failure: Failure | None, seconds: float) -> None:
        """Judge by what came of the attempt, after so many seconds."""
        cap = self._call.operation.attempt_timeout
        self.outcome = _outcome(failure, had_its_time=seconds >= FAIR_SHARE * cap)
        self.is_slow = cap < LONG_SECONDS and seconds > SLOW_SHARE * cap


@contextmanager
def judged(breaker: Breaker, call: ServiceCall) -> Iterator[Judgement | None]:
    """Ask the breaker for leave, and tell it what came of the attempt; give ``None`` without leave.

    A caller that is cancelled says nothing of the service.
    """
    permit = breaker.admit()
    if permit is None:
        yield None
        return
    judgement = Judgement(call)
    try:
        yield judgement
    finally:
        breaker.record(permit, judgement.outcome, slow=judgement.is_slow)


def _outcome(failure: Failure | None, *, had_its_time: bool) -> Outcome:
    if failure is None:
        return Outcome.GOOD
    code, status = failure.error.code, failure.error.status
    if code in ("rate_limited", "local_shutdown"):
        return Outcome.NEUTRAL
    if code == "deadline_exceeded":
        return Outcome.BAD if had_its_time else Outcome.NEUTRAL
    # Who answers that the caller is wrong, answers.
    return Outcome.GOOD if status is not None and status < 500 else Outcome.BAD
