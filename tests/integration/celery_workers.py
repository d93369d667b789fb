"""Workers and publishers for tests of the Celery adapter."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiormq

from encola.adapters.celery import CeleryJobQueue, CeleryWorker
from encola.domain.errors import Overloaded
from encola.domain.job import Job

PATIENCE = 20.0


async def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until the condition holds, or fail the test."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        await asyncio.sleep(0.01)


class WorkerThread:
    """A worker in a thread of its own, running jobs on the test's loop."""

    def __init__(self, url: str, run: Callable[[Job], Coroutine[Any, Any, None]], **options: Any) -> None:
        self.ready = threading.Event()
        self.error: BaseException | None = None
        self.worker = CeleryWorker(
            url, run=run, loop=asyncio.get_running_loop(), on_ready=self.ready.set, **options
        )
        self._thread = threading.Thread(target=self._work, daemon=True)

    async def start(self) -> Self:
        """Start it, and return when it waits for messages."""
        self._thread.start()
        await until(self.ready.is_set)
        return self

    def start_soon(self) -> Self:
        """Start it without waiting for anything."""
        self._thread.start()
        return self

    async def stop(self, seconds: float = PATIENCE) -> float:
        """Have it stop, and return how many seconds that took."""
        began = time.monotonic()
        self.worker.stop()
        await self.ended(seconds)
        return time.monotonic() - began

    async def ended(self, seconds: float = PATIENCE) -> None:
        """Wait until it has ended."""
        await until(lambda: not self._thread.is_alive(), seconds)

    async def abandon(self) -> None:
        """Have it leave at once."""
        self.worker.abandon()
        await self.ended()

    def _work(self) -> None:
        try:
            self.worker.run()
        except BaseException as error:
            self.error = error


@asynccontextmanager
async def working(
    url: str, run: Callable[[Job], Coroutine[Any, Any, None]], **options: Any
) -> AsyncIterator[WorkerThread]:
    """Run a worker for the time of the context, and leave nothing of it."""
    worker = await WorkerThread(url, run, **options).start()
    try:
        yield worker
    finally:
        await worker.abandon()


@asynccontextmanager
async def publishing(url: str, **options: Any) -> AsyncIterator[CeleryJobQueue]:
    """Return a connected publisher for the time of the context."""
    queue = CeleryJobQueue(url, **options)
    await queue.open()
    try:
        await until(queue.capacity)
        yield queue
    finally:
        await queue.close()


async def publish_when_possible(queue: CeleryJobQueue, job: Job) -> None:
    """Publish the job, again and again until RabbitMQ has it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await queue.publish(job)
            except Overloaded:
                await asyncio.sleep(0.05)
            else:
                return


class Broker:
    """What a test looks at and does in RabbitMQ beside the adapter."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def depth(self, queue: str) -> int:
        """Return how many messages of a queue wait, those in hand not counted."""
        async with self._channel() as channel:
            return (await channel.queue_declare(queue, passive=True)).message_count or 0

    async def until_depth(self, queue: str, depth: int) -> None:
        """Wait until so many messages of a queue wait."""
        deadline = time.monotonic() + PATIENCE
        while (found := await self.depth(queue)) != depth:
            assert time.monotonic() < deadline, f"{found} messages wait"
            await asyncio.sleep(0.1)

    async def delete(self, *queues: str) -> None:
        """Delete the queues."""
        for queue in queues:
            async with self._channel() as channel:
                await channel.queue_delete(queue)

    async def purge(self, queue: str) -> None:
        """Empty the queue."""
        async with self._channel() as channel:
            await channel.queue_purge(queue)

    async def declare(self, queue: str, **arguments: Any) -> None:
        """Make a durable queue."""
        async with self._channel() as channel:
            await channel.queue_declare(queue, durable=True, arguments=arguments)

    async def put(self, queue: str, body: bytes, **properties: Any) -> None:
        """Publish anything."""
        async with self._channel() as channel:
            await channel.basic_publish(
                body, routing_key=queue, properties=aiormq.spec.Basic.Properties(**properties), mandatory=True
            )

    @asynccontextmanager
    async def _channel(self) -> AsyncIterator[Any]:
        connection = await aiormq.connect(self._url)
        try:
            yield await connection.channel()
        finally:
            await connection.close()


class WorkerProcess:
    """A worker in a process of its own, which notes what it does in a file."""

    def __init__(self, url: str, notes: Path, *, concurrency: int = 10, drain_seconds: float = 10) -> None:
        self._notes = notes
        script = Path(__file__).with_name("celery_worker_process.py")
        self.process = subprocess.Popen(
            [sys.executable, script, url, notes, str(concurrency), str(drain_seconds)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )

    def noted(self) -> list[str]:
        """Return what it did so far, such as ``ready`` or ``began <job id>``."""
        return self._notes.read_text().splitlines() if self._notes.exists() else []

    async def until_noted(self, note: str) -> None:
        """Wait until it noted that."""
        await until(lambda: note in self.noted())

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def ended(self, seconds: float = PATIENCE) -> float:
        """Wait until it has ended, and return how many seconds that took."""
        began = time.monotonic()
        await until(lambda: self.process.poll() is not None, seconds)
        return time.monotonic() - began

    def kill(self) -> None:
        """Kill it if it runs."""
        self.process.kill()
        self.process.wait()
