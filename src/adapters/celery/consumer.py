"""Celery's consumer, without what Encola does otherwise."""

import logging
from contextlib import suppress
from typing import Any, ClassVar, Final

from amqp.exceptions import AMQPError, PreconditionFailed
from amqp.spec import Queue as QueueMethods
from celery.worker.consumer.consumer import Consumer
from celery.worker.consumer.tasks import Tasks
from celery.worker.state import maybe_shutdown

from encola.adapters.celery.message import RUN, RUN_LONG
from encola.domain.errors import InvalidSettings

logger = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 2.0


class Reading(Tasks):
    """The part that reads messages; it stops without waiting for a broker that may be silent."""

    def stop(self, c: Any) -> None:
        """Ask for no more messages; those that still come are returned by the pool."""
        consumer, c.task_consumer = c.task_consumer, None
        if consumer is not None and consumer.channel.connection is not None:
            with suppress(OSError, AMQPError):
                for tag in consumer._active_tags.values():
                    consumer.channel.basic_cancel(tag, nowait=True)

    def shutdown(self, c: Any) -> None:
        """Leave the channel to the end of its connection."""
        self.stop(c)


class JobConsumer(Consumer):
    """Reads jobs from the broker, for as long as it takes to reach it.

    Messages that are no jobs are dropped and logged without what is in them. Queues are declared by
    their publishers and the workers; nothing else is: no events, gossip, remote control or delays.
    """

    class Blueprint(Consumer.Blueprint):
        """The parts that are left."""

        default_steps: ClassVar[list[str]] = [
            "celery.worker.consumer.connection:Connection",
            "encola.adapters.celery.consumer:Reading",
            "celery.worker.consumer.consumer:Evloop",
        ]

    _is_lost = False

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long it takes, and stop trying when the worker is told to stop."""
        connection = conn.ensure_connection(
            self._note_unreachable,
            interval_start=FIRST_PAUSE,
            interval_step=FIRST_PAUSE,
            interval_max=LONGEST_PAUSE,
            callback=maybe_shutdown,
        )
        self.first_connection_attempt = False
        if self._is_lost:
            logger.info("RabbitMQ is back")
        self._is_lost = False
        return connection

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Called by Celery before it connects anew.

        :raises InvalidSettings: connecting anew would not help
        """
        if isinstance(exc, PreconditionFailed) and exc.method_sig == QueueMethods.Declare:
            raise InvalidSettings(
                "A queue in RabbitMQ is not of the kind that ENCOLA_QUEUE_TYPE asks for, and cannot be"
                f" changed; delete it or ask for what it is. RabbitMQ says: {exc.reply_text}"
            ) from exc
        super().on_connection_error_after_connected(exc)

    def update_strategies(self) -> None:
        """Know no tasks but ours: whatever else is in this process has an application of its own."""
        for name in (RUN, RUN_LONG):
            self.strategies[name] = self.app.tasks[name].start_strategy(self.app, self)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Drop what is no task."""
        self._drop(message, "not a Celery task")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Drop a task of others."""
        self._drop(message, "not a task of Encola")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Drop a task of ours that cannot be read; the error tells no contents."""
        self._drop(message, str(exc))

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Drop what cannot be decoded."""
        self._drop(message, f"cannot be decoded ({type(exc).__name__})")

    def _drop(self, message: Any, why: str) -> None:
        queue = message.delivery_info.get("routing_key")
        logger.warning("a message in queue %r was dropped: %s", queue, why)
        message.reject_log_error(logger, self.connection_errors)
        self.app.work.dropped += 1

    def _note_unreachable(self, error: Exception, interval: float) -> None:
        level = logging.DEBUG if self._is_lost else logging.WARNING
        logger.log(level, "RabbitMQ cannot be reached (%s)", type(error).__name__)
        self._is_lost = True
