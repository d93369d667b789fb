"""What a handler holds of the job it runs."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from datetime import datetime
from typing import Any, TypeVar

from encola.application.attempt import Attempt
from encola.application.call_service import CallService
from encola.application.notify import Notify
from encola.application.ports import Clock
from encola.domain.context import JobId, TenantId
from encola.domain.errors import JobFailed, TooLarge
from encola.domain.job import Progress
from encola.domain.json_value import JSON, check_json
from encola.domain.service import OutputListener, ServiceResult

ROLL_UP_SECONDS = 0.04
ROLL_UP_BYTES = 2048
MAX_OUTPUT_BYTES = 1024 * 1024
FREE_PROGRESS = 50
PROGRESS_PER_SECOND = 20
MAX_MESSAGE = 500

T = TypeVar("T")


class Output:
    """One named stream of partial text. Writing never waits; pieces go out rolled up."""

    def __init__(self, name: str, attempt: Attempt, loop: asyncio.AbstractEventLoop) -> None:
        self._name = name
        self._attempt = attempt
        self._loop = loop
        self._lock = threading.Lock()
        self._pending: list[str] = []
        self._pending_bytes = 0
        self._written = 0
        self._taken = 0
        self._is_whole = True
        self._timer: asyncio.TimerHandle | None = None
        self._flushing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def write(self, text: str) -> None:
        """Add text, from the loop or from a thread.

        :raises TooLarge: the output would be longer than 1 MiB
        """
        size = len(text.encode())
        with self._lock:
            if self._written + size > MAX_OUTPUT_BYTES:
                raise TooLarge(f"The output {self._name!r} is longer than {MAX_OUTPUT_BYTES} bytes.")
            first = not self._pending
            self._pending.append(text)
            self._written += size
            self._pending_bytes += size
            full = self._pending_bytes >= ROLL_UP_BYTES
        if first or full:
            self._loop.call_soon_threadsafe(self._arm, full)

    async def flush(self) -> None:
        """Send what is pending, and wait until it is kept."""
        async with self._flushing:
            with self._lock:
                text, size = "".join(self._pending), self._pending_bytes
                self._pending.clear()
                self._pending_bytes = 0
            if text and self._is_whole:
                # What follows a lost piece would stand at the wrong place, so nothing follows it.
                self._is_whole = False
                self._is_whole = await self._attempt.append(self._name, self._taken, text)
                self._taken += size

    def _arm(self, full: bool) -> None:
        if full:
            self._start_flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(ROLL_UP_SECONDS, self._start_flush)

    def _start_flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._flush_all())

    async def _flush_all(self) -> None:
        while self._pending_bytes:
            await self.flush()


class JobContext:
    """The job as its ``async`` handler sees it.

    ``deadline`` is when this attempt must have ended. ``cancelled`` turns true when the job was
    stopped or given to another worker; nothing is written from then on.
    """

    def __init__(self, attempt: Attempt, call_service: CallService, notify: Notify, clock: Clock) -> None:
        self._attempt = attempt
        self._call_service = call_service
        self._notify = notify
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._outputs: dict[str, Output] = {}
        self._allowance = float(FREE_PROGRESS)
        self._allowed_at = self._loop.time()
        self._late_progress: Progress | None = None
        self._late_timer: asyncio.Task[None] | None = None

    @property
    def job_id(self) -> JobId:
        """Return the job's id."""
        return self._attempt.job.id

    @property
    def tenant_id(self) -> TenantId:
        """Return whose job it is."""
        return self._attempt.job.tenant_id

    @property
    def agent_id(self) -> str | None:
        """Return the agent of the context."""
        return self._attempt.job.context.agent_id

    @property
    def conversation_id(self) -> str | None:
        """Return the conversation of the context."""
        return self._attempt.job.context.conversation_id

    @property
    def collection_id(self) -> str | None:
        """Return the collection of the context."""
        return self._attempt.job.context.collection_id

    @property
    def attempt(self) -> int:
        """Return which attempt this is, from 1."""
        return self._attempt.job.attempt

    @property
    def deadline(self) -> datetime:
        """Return when this attempt must have ended, in UTC."""
        deadline = self._attempt.job.deadline
        assert deadline is not None  # set by the claim
        return deadline

    @property
    def cancelled(self) -> bool:
        """Tell whether the handler works for nothing and should stop."""
        return self._attempt.fenced

    async def progress(self, current: float, total: float, message: str = "") -> None:
        """Tell the watchers how far the job is.

        Fifty reports at once and twenty a second after that are sent each; of faster ones the
        latest is.

        :raises NotJson: a number is not finite, or the message is not text
        """
        check_json([current, total, message])
        progress = Progress(current=current, total=total, message=message[:MAX_MESSAGE])
        if self._may_report():
            self._late_progress = None
            await self._attempt.progress(progress)
        else:
            self._late_progress = progress
            if self._late_timer is None or self._late_timer.done():
                self._late_timer = self._loop.create_task(self._report_late())

    def output(self, name: str = "answer") -> Output:
        """Return the stream of partial output of that name."""
        if name not in self._outputs:
            if len(self._outputs) >= 16 or not 0 < len(name) <= 64:
                raise JobFailed("A job may have up to 16 outputs with names of up to 64 characters.")
            self._outputs[name] = Output(name, self._attempt, self._loop)
        return self._outputs[name]

    async def call_service(
        self,
        service: str,
        path: str = "",
        data: JSON = None,
        method: str | None = None,
        *,
        operation_type: str,
        use_cache: bool = False,
        cache_ttl: float | None = None,
        cache_tags: Sequence[str] = (),
        max_retries: int | None = None,
        custom_timeout: float | None = None,
        idempotency_key: str | None = None,
        on_output: OutputListener | None = None,
    ) -> ServiceResult:
        """Call a registered service in this job's context, within this job's time.

        See :class:`encola.application.call_service.CallService`.
        """
        return await self._call_service(
            service + path,
            data,
            method,
            operation_type=operation_type,
            use_cache=use_cache,
            cache_ttl=cache_ttl,
            cache_tags=cache_tags,
            max_retries=max_retries,
            custom_timeout=custom_timeout,
            idempotency_key=idempotency_key,
            on_output=on_output,
        )

    async def invalidate(self, *tags: str) -> None:
        """Forget this tenant's cached answers that carry one of the tags, as ``collection:docs``."""
        await self._call_service.invalidate(*tags, tenant_id=self.tenant_id)

    def notify(
        self,
        service: str,
        path: str = "",
        data: JSON = None,
        *,
        operation_type: str = "queue_notification",
        idempotency_key: str | None = None,
    ) -> None:
        """Tell a registered service something without waiting, and without learning whether it heard.

        See :class:`encola.application.notify.Notify`.
        """
        self._notify(service + path, data, operation_type=operation_type, idempotency_key=idempotency_key)

    async def checkpoint(self) -> None:
        """Stop here if the job was stopped.

        :raises asyncio.CancelledError: it was; do not catch it
        """
        await asyncio.sleep(0)
        if self.cancelled:
            raise asyncio.CancelledError

    async def settle(self) -> None:
        """Send what was held back; called by the worker before it writes the end."""
        if self._late_timer is not None:
            self._late_timer.cancel()
        if self._late_progress is not None:
            await self._attempt.progress(self._late_progress)
        for output in self._outputs.values():
            await output.flush()

    def _may_report(self) -> bool:
        now = self._loop.time()
        earned = (now - self._allowed_at) * PROGRESS_PER_SECOND
        self._allowance = min(FREE_PROGRESS, self._allowance + earned)
        self._allowed_at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    async def _report_late(self) -> None:
        await asyncio.sleep(1 / PROGRESS_PER_SECOND)
        progress, self._late_progress = self._late_progress, None
        if progress is not None:
            await self._attempt.progress(progress)


class SyncJobContext:
    """The job as a plain function's handler sees it, from its thread: the same names, blocking."""

    def __init__(self, inner: JobContext) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def progress(self, current: float, total: float, message: str = "") -> None:
        """Tell the watchers how far the job is."""
        self._wait(self._inner.progress(current, total, message))

    def call_service(self, service: str, path: str = "", data: JSON = None, **options: Any) -> ServiceResult:
        """Call a registered service in this job's context, within this job's time."""
        return self._wait(self._inner.call_service(service, path, data, **options))

    def invalidate(self, *tags: str) -> None:
        """Forget this tenant's cached answers that carry one of the tags."""
        self._wait(self._inner.invalidate(*tags))

    def notify(self, service: str, path: str = "", data: JSON = None, **options: Any) -> None:
        """Tell a registered service something without learning whether it heard."""

        async def on_the_loop() -> None:
            self._inner.notify(service, path, data, **options)

        self._wait(on_the_loop())

    def checkpoint(self) -> None:
        """Stop here if the job was stopped.

        :raises asyncio.CancelledError: it was; do not catch it
        """
        if self._inner.cancelled:
            raise asyncio.CancelledError

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._inner._loop).result()
