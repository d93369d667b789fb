"""The Celery pool that hands jobs to the process's asyncio loop."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Final

from amqp.exceptions import AMQPError
from celery.concurrency.base import BasePool
from celery.exceptions import InvalidTaskError
from kombu.asynchronous import get_event_loop
from kombu.exceptions import MessageStateError

from encola.adapters.celery.app import Work
from encola.adapters.celery.message import CONTENT_TYPE, UnreadableMessage, read_job
from encola.adapters.celery.runner import Delivery, JobRunner, Outcome

logger = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.5
"""How often an idle hub looks up, and so how soon it heeds a signal; by itself it would sleep for ten."""

HAND_BACK_SECONDS: Final = 10.0
"""How long cancelled jobs may take to be handed back to the store."""


class AsyncioPool(BasePool):
    """Runs jobs as tasks of a loop in another thread, without Celery's tracer.

    Celery's hub, on its own thread, reads messages and writes acknowledgements; the loop does all else.
    Either thread is woken once for whatever came together, because the handing over costs more than
    what is handed over. A job whose connection was lost goes on: its message comes again, and finds
    the job claimed.
    """

    signal_safe = False
    body_can_be_buffer = True
    # Handlers in threads may wait for results of other Celery applications.
    task_join_will_block = False

    def on_start(self) -> None:
        """Called by Celery before the consumer starts."""
        self._work: Work = self.app.work
        self._hub: Any = get_event_loop()
        self._runner = JobRunner(self._work.run, self._work.loop, self.limit, self._report)
        self._arrived: list[Delivery] = []
        self._outcomes: deque[Outcome] = deque()
        self._in_hand = 0

    def register_with_event_loop(self, hub: Any) -> None:
        """Called by Celery for each connection."""
        hub.call_repeatedly(TICK_SECONDS, lambda: None)

    def take(self, delivery: Delivery) -> None:
        """Pass the delivery on to the loop, together with what else has arrived."""
        if not self.active:
            _tell_broker((), [delivery.message])
            return
        if not self._arrived:
            self._hub.call_soon(self._hand_over)
        self._arrived.append(delivery)

    def flush(self) -> None:
        """Give up what has not started; called by Celery when the connection is lost or given up."""
        arrived, self._arrived = self._arrived, []
        _tell_broker((), [delivery.message for delivery in arrived])
        self._work.loop.call_soon_threadsafe(self._runner.return_waiting)

    def on_stop(self) -> None:
        """Let what runs end for a while, then have the rest handed back; called by Celery's warm stop."""
        self._turn_hub_until_idle(self._work.drain_seconds)
        if self._in_hand and not self._work.abandoned.is_set():
            self._work.loop.call_soon_threadsafe(self._runner.cancel)
            self._turn_hub_until_idle(HAND_BACK_SECONDS)
        if self._in_hand:
            logger.warning("%s jobs were left as they are; their leases will end", self._in_hand)

    def _hand_over(self) -> None:
        arrived, self._arrived = self._arrived, []
        if arrived:
            self._in_hand += len(arrived)
            self._work.loop.call_soon_threadsafe(self._runner.accept, arrived)

    def _report(self, outcome: Outcome) -> None:
        """Take an outcome from the loop's thread."""
        self._outcomes.append(outcome)
        self._hub.call_soon(self._settle)

    def _settle(self) -> None:
        while self._outcomes:
            outcome = self._outcomes.popleft()
            self._in_hand -= outcome.ended
            if not self._work.abandoned.is_set():
                _tell_broker(outcome.done, outcome.returned)

    def _turn_hub_until_idle(self, seconds: float) -> None:
        """Do the hub's work in its stead, so that acknowledgements and heartbeats go out."""
        deadline = time.monotonic() + seconds
        turns = self._hub.create_loop()
        while self._in_hand and time.monotonic() < deadline and not self._work.abandoned.is_set():
            try:
                next(turns)
            except Exception as error:
                # The connection is gone, or the hub wants to begin anew; the jobs go on.
                logger.debug("while draining: %r", error)
                self._hub.reset()
                turns = self._hub.create_loop()


def start_jobs(task: Any, app: Any, consumer: Any) -> Callable[..., None]:
    """Celery's strategy for our tasks: no request and no tracer, straight to the pool."""
    take = consumer.pool.take
    is_early = not task.acks_late

    def on_message(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any) -> None:
        if message.content_type != CONTENT_TYPE:
            raise InvalidTaskError("not JSON")
        try:
            job = read_job(message.body, message.headers)
        except UnreadableMessage as error:
            raise InvalidTaskError(str(error)) from None
        take(Delivery(message, job, is_early))

    return on_message


def _tell_broker(done: Iterable[Any], returned: Iterable[Any]) -> None:
    """Acknowledge some messages and requeue others, in one write; of dead channels they come again anyway."""
    answers = [(message, message.ack) for message in done]
    answers += ((message, message.requeue) for message in returned)
    alive = [(message, answer) for message, answer in answers if message.channel.connection is not None]
    if alive:
        with suppress(OSError), _one_write(alive[0][0]):
            for message, answer in alive:
                _tell(message, answer)


def _tell(message: Any, answer: Callable[[], None]) -> None:
    try:
        answer()
    except (OSError, AMQPError, MessageStateError) as error:
        logger.debug("message %s was not acknowledged (%s)", message.delivery_tag, type(error).__name__)


def _one_write(message: Any) -> AbstractContextManager[None]:
    one_write = getattr(message.channel.connection.transport, "one_write", nullcontext)
    context: AbstractContextManager[None] = one_write()
    return context
