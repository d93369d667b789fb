"""How one call goes: its time, its attempts, and why it ends."""

from collections.abc import Callable
from dataclasses import dataclass

from encola.adapters.http.answers import Answer
from encola.adapters.http.failures import Again, Failure
from encola.adapters.http.requests import PreparedRequest
from encola.adapters.http.retry_budget import RetryBudget
from encola.application.ports import CallTrace
from encola.domain.service import CallMeta, ServiceCall, ServiceResult


@dataclass(slots=True)
class Course:
    """The course of one call; instants are seconds of the event loop's clock."""

    call: ServiceCall
    request: PreparedRequest
    trace: CallTrace
    now: Callable[[], float]
    started: float
    attempts: int = 0
    has_passed_output: bool = False
    has_had_free_repetition: bool = False

    @property
    def end(self) -> float:
        """Return when the call must have ended, all attempts included."""
        return self.started + self.call.timeout

    def attempt_end(self, now: float) -> float:
        """Return when the present attempt must end; the last one has all the time that is left."""
        if self.attempts >= self.call.attempts:
            return self.end
        policy = self.call.operation
        return min(self.end, now + self.call.timeout * policy.attempt_timeout / policy.timeout)

    def pass_output(self, text: str) -> None:
        """Give text to whoever listens; what somebody has seen must not come again."""
        self.has_passed_output = True
        if self.call.on_output is not None:
            self.call.on_output(text)

    def stopped_by(self, failure: Failure, wait: float, budget: RetryBudget) -> str | None:
        """Return why a failure is not followed by another attempt after ``wait``, or ``None`` when it is."""
        if self.has_passed_output or not self.request.may_repeat(failure.again):
            return "not_idempotent"
        if self.attempts >= self.call.attempts:
            return "attempts"
        if self.now() + wait >= self.end:
            return "deadline"
        return None if self._is_free(failure) or budget.take() else "budget"

    def _is_free(self, failure: Failure) -> bool:
        """Tell whether a repetition costs nothing: once, for what the service has not seen (gRPC A6)."""
        is_free = failure.again is Again.NOT_SENT and not self.has_had_free_repetition
        self.has_had_free_repetition |= is_free
        return is_free

    def result(self, answer: Answer) -> ServiceResult:
        """Return what the call came to."""
        return ServiceResult(
            success=answer.failure is None,
            data=answer.data,
            error=answer.failure.error if answer.failure else None,
            meta=CallMeta(
                service=self.call.service,
                operation=self.call.operation.name,
                attempts=self.attempts,
                elapsed_ms=round((self.now() - self.started) * 1000),
                source="upstream" if self.attempts else "local",
                request_id=self.call.context.request_id or "",
                trace_id=self.trace.trace_id,
            ),
        )
