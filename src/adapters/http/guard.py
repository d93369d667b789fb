"""What stands between the callers and one service."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from encola.adapters.http.breaker import Breaker, Outcome
from encola.adapters.http.bulkhead import Bulkhead
from encola.adapters.http.failures import Failure
from encola.adapters.http.retry_budget import RetryBudget
from encola.application.ports import CircuitBoard, Metrics
from encola.domain.service import ServiceCall

SLOW_SHARE = 0.8
FAIR_SHARE = 0.5
LONG_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ServiceGuard:
    """The breaker, the places and the repetitions of one service."""

    breaker: Breaker
    budget: RetryBudget
    bulkhead: Bulkhead

    @classmethod
    def of(
        cls,
        service: str,
        *,
        now: Callable[[], float],
        chance: Callable[[], float],
        board: CircuitBoard,
        metrics: Metrics,
    ) -> "ServiceGuard":
        """Return a guard that knows nothing bad of the service yet."""
        changed = partial(metrics.count, "encola_service_circuit_changes_total", service=service)
        breaker = Breaker(
            service, now=now, chance=chance, board=board, changed=lambda state: changed(state=state)
        )
        return cls(breaker, RetryBudget(now), Bulkhead(share=breaker.share))


def outcome_of(call: ServiceCall, failure: Failure | None, seconds: float) -> Outcome:
    """Return what an attempt that took so many seconds says of its service."""
    if failure is None:
        return Outcome.GOOD
    code, status = failure.error.code, failure.error.status
    if code in ("rate_limited", "local_shutdown"):
        return Outcome.NEUTRAL
    if code == "deadline_exceeded":
        had_its_time = seconds >= FAIR_SHARE * call.operation.attempt_timeout
        return Outcome.BAD if had_its_time else Outcome.NEUTRAL
    # Who answers that the caller is wrong, answers.
    return Outcome.GOOD if status is not None and status < 500 else Outcome.BAD


def is_slow(call: ServiceCall, seconds: float) -> bool:
    """Tell whether an attempt took long for its operation; of long ones nobody expects to be quick."""
    cap = call.operation.attempt_timeout
    return cap < LONG_SECONDS and seconds > SLOW_SHARE * cap
