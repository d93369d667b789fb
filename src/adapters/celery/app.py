"""The Celery application of a worker, with its settings."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from celery import Celery
from kombu.entity import Exchange, Queue

from encola.adapters.celery.address import BrokerAddress
from encola.adapters.celery.message import RUN, RUN_LONG
from encola.adapters.celery.topology import QueueType, queue_arguments
from encola.domain.errors import InvalidSettings
from encola.domain.job import Job

SETTINGS: Final[dict[str, Any]] = {
    # The outcome of a job is in the store, and its message is done with whatever that is.
    "result_backend": None,
    "task_ignore_result": True,
    "task_acks_on_failure_or_timeout": True,
    # What is reserved is what runs: anything more would wait here while other workers are idle.
    "worker_prefetch_multiplier": 1,
    "worker_enable_prefetch_count_reduction": False,
    # Celery's requests, which this would cancel, are not used; without it Celery warns of them.
    "worker_cancel_long_running_tasks_on_connection_loss": True,
    # A lost connection is noticed within three of them.
    "broker_heartbeat": 20,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    # RabbitMQ closes the channel of a worker that holds a message for too long. The worker then takes
    # a new one: the job goes on, and the message that comes again finds it claimed.
    "broker_channel_error_retry": True,
    # No confirms here: in a memory alarm they would hold up consuming, which would end the alarm.
    "broker_transport": "encola.adapters.celery.transport:Transport",
    "broker_transport_options": {},
    "worker_send_task_events": False,
    "task_send_sent_event": False,
    # Cancelling is in the store, and one queue a worker is saved.
    "worker_enable_remote_control": False,
    # A misspelt queue must fail instead of being one that nobody publishes to.
    "task_create_missing_queues": False,
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_protocol": 2,
    "enable_utc": True,
    "timezone": "UTC",
    # Quorum queues, and RabbitMQ 4, count the prefetch for each consumer and not for the channel.
    "worker_detect_quorum_queues": True,
    "worker_disable_rate_limits": True,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
}


@dataclass(slots=True)
class Work:
    """What the pool is there for.

    :ivar run: makes one attempt at a job
    :ivar loop: runs in another thread
    :ivar drain_seconds: how long running jobs may go on when the worker is told to stop
    :ivar abandoned: set to leave at once, with everything unacknowledged
    :ivar dropped: how many messages held no job
    """

    run: Callable[[Job], Coroutine[Any, Any, None]]
    loop: asyncio.AbstractEventLoop
    drain_seconds: float
    abandoned: threading.Event = field(default_factory=threading.Event)
    dropped: int = 0


class JobApp(Celery):
    """A Celery application that knows the work of its pool, and no broker but its own."""

    def __init__(self, work: Work, broker_url: str) -> None:
        # What else of Celery is in this process, such as the user's own application, goes before.
        super().__init__("encola", set_as_current=False)
        self.work = work
        self._broker_url = broker_url

    def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
        """Connect to our broker, whatever ``CELERY_BROKER_URL`` says to other applications."""
        return super().connection_for_read(url or self._broker_url, **options)


def make_app(work: Work, address: BrokerAddress, queues: Sequence[str], queue_type: QueueType) -> JobApp:
    """Return the application of a worker that reads these queues.

    :raises InvalidSettings: there are none
    """
    if not queues:
        raise InvalidSettings("A worker needs the name of a queue at least.")
    app = JobApp(work, address.for_worker)
    arguments = queue_arguments(queue_type)
    app.conf.update(
        SETTINGS,
        broker_use_ssl=address.tls_for_worker,
        task_queues=[
            Queue(name, Exchange(""), routing_key=name, durable=True, queue_arguments=arguments)
            for name in queues
        ],
        task_default_queue=queues[0],
    )
    for name, acks_late in ((RUN, True), (RUN_LONG, False)):
        app.task(
            _never_called,
            name=name,
            acks_late=acks_late,
            shared=False,
            Strategy="encola.adapters.celery.pool:start_jobs",
        )
    return app


def _never_called(record: Any) -> None:
    raise NotImplementedError("Encola runs its jobs itself, in its own pool.")
