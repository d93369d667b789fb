"""A Celery worker that runs jobs on an asyncio loop."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from celery.exceptions import WorkerTerminate
from celery.platforms import EX_FAILURE, EX_OK
from celery.utils.threads import bound_open_broker_sockets
from celery.worker import WorkController, state

from encola.adapters.celery.address import BrokerAddress
from encola.adapters.celery.app import Work, make_app
from encola.adapters.celery.consumer import JobConsumer
from encola.adapters.celery.pool import AsyncioPool
from encola.adapters.celery.topology import QueueType
from encola.domain.job import Job

SOCKET_SECONDS: Final = 3.0
"""How long a silent broker may hold up the worker's end with each thing that is asked of it."""


class CeleryWorker:
    """Takes jobs from RabbitMQ and runs them on a loop that runs in another thread.

    RabbitMQ need not be there at any time: the worker waits for it. Told to stop, it takes no more jobs,
    lets those that run end for ``drain_seconds``, and cancels the others, whose messages go back.

    One worker may run in a process at a time, for Celery keeps its state in its modules.

    :param amqp_url: see :class:`~encola.adapters.celery.address.BrokerAddress`
    :param run: makes one attempt at a job; cancelling it hands the job back
    :param loop: where jobs run; it must go on for as long as :meth:`run` does
    :param queues: which queues jobs are taken from
    :param concurrency: how many jobs run side by side
    :param queue_type: of what kind the queues are
    :param on_ready: called in the worker's thread when it first waits for messages
    :raises InvalidSettings: the URL is not one of AMQP, or there are no queues
    """

    def __init__(
        self,
        amqp_url: str,
        *,
        run: Callable[[Job], Coroutine[Any, Any, None]],
        loop: asyncio.AbstractEventLoop,
        queues: Sequence[str],
        concurrency: int = 100,
        drain_seconds: float = 10.0,
        queue_type: QueueType = "classic",
        on_ready: Callable[[], None] | None = None,
    ) -> None:
        self._work = Work(run, loop, drain_seconds)
        self._app = make_app(self._work, BrokerAddress.parse(amqp_url), queues, queue_type)
        self._concurrency = concurrency
        self._on_ready = on_ready or _do_nothing
        self._is_stopping = False

    @property
    def dropped(self) -> int:
        """Return how many messages were dropped because they held no job."""
        return self._work.dropped

    def run(self) -> None:
        """Work until told to stop; blocks.

        In the main thread, SIGTERM and Ctrl-C are :meth:`stop`, a second one of them and SIGQUIT are
        :meth:`abandon`, until it returns.

        :raises InvalidSettings: a queue is there already and of the other kind
        """
        state.should_stop = EX_OK if self._is_stopping else None
        state.should_terminate = None
        controller = _Controller(
            app=self._app,
            pool_cls=AsyncioPool,
            consumer_cls=JobConsumer,
            concurrency=self._concurrency,
            ready_callback=lambda _: self._on_ready(),
            without_mingle=True,
            without_gossip=True,
            without_heartbeat=True,
        )
        with self._heeding_signals():
            controller.start()

    def stop(self) -> None:
        """Begin to stop; from any thread."""
        self._is_stopping = True
        state.should_stop = EX_OK

    def abandon(self) -> None:
        """Leave at once, from any thread: what runs is not waited for, and its messages go back."""
        self._is_stopping = True
        self._work.abandoned.set()
        state.should_terminate = EX_FAILURE

    @contextmanager
    def _heeding_signals(self) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {signal.SIGTERM: self._asked, signal.SIGINT: self._asked, signal.SIGQUIT: self._urged}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self._is_stopping:
            self.abandon()
        else:
            self.stop()

    def _urged(self, number: int, frame: FrameType | None) -> None:
        self.abandon()


class _Controller(WorkController):
    """Celery's worker, which raises what it cannot work with."""

    def start(self) -> None:
        try:
            self.blueprint.start(self)
        except WorkerTerminate:
            self.terminate()
        except SystemExit:
            self.stop()
        except Exception:
            self.stop()
            raise

    def stop(self, in_sighandler: bool = False, exitcode: int | None = None) -> None:
        connection = self.consumer and self.consumer.connection
        if connection:
            bound_open_broker_sockets(connection, SOCKET_SECONDS)
        super().stop(in_sighandler, exitcode)


def _do_nothing() -> None:
    pass
