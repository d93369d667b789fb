"""Running delivered jobs on the process's loop, a bounded number at a time."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from encola.domain.job import Job

logger = logging.getLogger(__name__)

WAIT_SECONDS: Final = 120.0
"""How long a delivery may wait here for a place before it goes back to the broker.

Its message is not acknowledged while it waits, and the broker's patience for that is limited.
"""


@dataclass(slots=True, eq=False)
class Delivery:
    """A job and the message that brought it. ``is_early``: it is acknowledged when the job starts."""

    message: Any
    job: Job
    is_early: bool


@dataclass(slots=True)
class Outcome:
    """What the broker is to be told: messages that are done, and others that it must give again.

    ``ended`` counts the deliveries that this process has nothing more to do with.
    """

    done: list[Any] = field(default_factory=list)
    returned: list[Any] = field(default_factory=list)
    ended: int = 0


class JobRunner:
    """Runs deliveries; what becomes of them is reported once a turn of the loop.

    All methods must be called on the loop's thread.

    :param run: makes one attempt at a job; raises only when it is cancelled
    :param places: how many jobs may run side by side
    :param report: is given the outcomes, on the loop's thread
    """

    def __init__(
        self,
        run: Callable[[Job], Coroutine[Any, Any, None]],
        loop: asyncio.AbstractEventLoop,
        places: int,
        report: Callable[[Outcome], None],
    ) -> None:
        self._run = run
        self._loop = loop
        self._places = places
        self._report = report
        self._running: dict[asyncio.Task[None], Delivery] = {}
        self._waiting: deque[tuple[Delivery, float]] = deque()
        self._outcome: Outcome | None = None
        self._patience: asyncio.TimerHandle | None = None

    def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Start the jobs, or keep them until there is a place."""
        for delivery in deliveries:
            if len(self._running) < self._places:
                self._start(delivery)
            else:
                self._waiting.append((delivery, self._loop.time() + WAIT_SECONDS))
        self._limit_patience()

    def return_waiting(self) -> None:
        """Return what has not started to the broker."""
        while self._waiting:
            self._return(self._waiting.popleft()[0])

    def cancel(self) -> None:
        """Cancel whatever runs."""
        for task in self._running:
            task.cancel()

    def _start(self, delivery: Delivery) -> None:
        if delivery.is_early:
            self._pending.done.append(delivery.message)
        task = self._loop.create_task(self._run(delivery.job))
        self._running[task] = delivery
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        delivery = self._running.pop(task)
        outcome = self._pending
        outcome.ended += 1
        if task.cancelled():
            # It was handed back to the store, or never claimed: the next worker may have it at once.
            self._tell(outcome.returned, delivery)
        else:
            self._tell(outcome.done, delivery)
            error = task.exception()
            if error is not None:
                # The job keeps its lease; when that ends, a keeper gives it to another attempt.
                logger.error("job %s: the worker could not run it", delivery.job.id, exc_info=error)
        if self._waiting:
            self._start(self._waiting.popleft()[0])

    def _return(self, delivery: Delivery) -> None:
        outcome = self._pending
        outcome.ended += 1
        outcome.returned.append(delivery.message)

    @property
    def _pending(self) -> Outcome:
        """Return the outcome that is reported at the end of this turn."""
        if self._outcome is None:
            self._outcome = Outcome()
            self._loop.call_soon(self._report_now)
        return self._outcome

    def _report_now(self) -> None:
        outcome, self._outcome = self._outcome, None
        if outcome is not None:
            self._report(outcome)

    def _limit_patience(self) -> None:
        if self._waiting and self._patience is None:
            self._patience = self._loop.call_at(self._waiting[0][1], self._return_late)

    def _return_late(self) -> None:
        self._patience = None
        now = self._loop.time()
        while self._waiting and self._waiting[0][1] <= now:
            self._return(self._waiting.popleft()[0])
        self._limit_patience()

    @staticmethod
    def _tell(messages: list[Any], delivery: Delivery) -> None:
        if not delivery.is_early:
            messages.append(delivery.message)
