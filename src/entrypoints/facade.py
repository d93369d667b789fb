"""``Encola``: the whole of it as one object, to run alone or inside another application."""

from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from encola.application.handlers import DEFAULT_QUEUE, Handler, HandlerRegistry, JobType, params_model_of
from encola.domain.context import DEFAULT_TENANT, ExecutionContext, JobId, TenantId, parse_tenant
from encola.domain.errors import InvalidInput, InvalidSettings, JobNotFound
from encola.domain.event import JobEvent
from encola.domain.job import Job, Priority
from encola.domain.json_value import JSON
from encola.domain.policy import RetryPolicy

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from encola.entrypoints.container import Container
    from encola.entrypoints.runtime import Runtime
    from encola.entrypoints.settings import Settings
    from encola.entrypoints.use_cases import UseCases

Function = TypeVar("Function", bound=Handler)


class Encola:
    """An application of jobs: its types, and the machine that runs them.

    Settings come from the environment (``ENCOLA_…``); what is passed here wins. Nothing is opened
    until it is used. ``async with app`` runs jobs in this process until left, and may be entered
    again: on the embedded profile with the jobs that are kept, on the memory profile with none.
    """

    def __init__(
        self, *, profile: str | None = None, settings: "Settings | None" = None, **options: Any
    ) -> None:
        self._given = settings
        self._options = {"profile": profile, **options}
        self._handlers = HandlerRegistry()
        self._container: Container | None = None
        self._runtime: Runtime | None = None

    def job(
        self,
        name: str,
        *,
        queue: str = DEFAULT_QUEUE,
        retries: int | None = None,
        timeout: float = 300.0,
        priority: str = "normal",
        cache_ttl: float | None = None,
    ) -> Callable[[Function], Function]:
        """Register the decorated function, ``async`` or plain, as the handler of a job type.

        ``timeout`` and ``cache_ttl`` are seconds. ``retries`` bounds all further attempts; without
        it a failed job is not repeated, and one whose worker died is, up to three times. With
        ``cache_ttl`` a job submitted with ``use_cache`` may take the result of an equal one.

        :raises InvalidSettings: the name is taken, or the function does not take context and params
        """

        def register(function: Function) -> Function:
            self._handlers.add(
                JobType(
                    name=name,
                    function=function,
                    queue=queue,
                    retry=RetryPolicy.of(retries),
                    timeout=timedelta(seconds=timeout),
                    priority=_declared(priority),
                    cache_ttl=None if cache_ttl is None else timedelta(seconds=cache_ttl),
                    params_model=params_model_of(function),
                )
            )
            return function

        return register

    async def submit(
        self,
        job_type: str,
        params: JSON = None,
        *,
        tenant: str = DEFAULT_TENANT,
        context: ExecutionContext | None = None,
        queue: str | None = None,
        priority: str | None = None,
        delay: float | None = None,
        run_at: datetime | None = None,
        ttl: float | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        use_cache: bool = False,
        tags: Sequence[str] = (),
        idempotency_key: str | None = None,
    ) -> Job:
        """Keep a job and return it; durations are seconds.

        :raises InvalidInput: the type, the params or an option cannot be right
        :raises IdempotencyMismatch: the key was used for another request
        :raises StoreUnavailable: it could not be kept
        """
        from encola.application.submit_job import Submission

        if run_at is not None and run_at.tzinfo is None:
            raise InvalidInput("run_at must have a time zone.")
        await self.runtime.open()
        submitted = await self.use_cases.submit_job(
            Submission(
                type=job_type,
                params=params,
                context=context or ExecutionContext(tenant_id=parse_tenant(tenant)),
                queue=queue,
                priority=None if priority is None else _asked(priority),
                delay=_duration(delay),
                run_at=run_at,
                ttl=_duration(ttl),
                timeout=_duration(timeout),
                retries=retries,
                use_cache=use_cache,
                tags=tuple(tags),
                idempotency_key=idempotency_key,
            )
        )
        return submitted.job

    def notify(
        self,
        url: str,
        data: JSON = None,
        *,
        operation_type: str = "queue_notification",
        tenant: str | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Tell a registered service something without waiting, and without learning whether it heard.

        Without a ``tenant`` it is that of the running request or job.

        :raises UnknownService: ``url`` is neither ``service/path`` nor below a registered base
        :raises UnknownOperation: there is no such operation type
        :raises InvalidContext: there is no tenant, or it is outside the grammar
        """
        self.use_cases.notify(
            url, data, operation_type=operation_type, tenant_id=tenant, idempotency_key=idempotency_key
        )

    async def invalidate(self, *tags: str, tenant: str | None = None) -> None:
        """Forget the cached answers of ``call_service`` that carry one of the tags.

        Without a ``tenant`` it is that of the running request or job.

        :raises InvalidContext: there is no tenant, or it is outside the grammar
        """
        await self.use_cases.call_service.invalidate(*tags, tenant_id=tenant)

    async def get(self, job_id: str, *, tenant: str | None = None) -> Job:
        """Return a job as it is now.

        :raises JobNotFound: there is none, or not of that tenant
        """
        return await self.use_cases.get_job(await self._owner(job_id, tenant), job_id)

    async def cancel(self, job_id: str, *, tenant: str | None = None) -> Job:
        """Stop a job.

        :raises JobNotFound: there is none, or not of that tenant
        :raises IllegalTransition: it ended otherwise before
        """
        return await self.use_cases.cancel_job(await self._owner(job_id, tenant), job_id)

    async def watch(
        self, job_id: str, *, tenant: str | None = None, since: int = 0
    ) -> AsyncGenerator[JobEvent, None]:
        """Yield the job's events after ``since``, up to the one that ends it.

        :raises JobNotFound: there is none, or not of that tenant
        """
        from encola.application.follow_job import Since

        owner = await self._owner(job_id, tenant)
        async for announcement in self.use_cases.follow_job(owner, JobId(job_id), Since(seq=since)):
            if isinstance(announcement, JobEvent):
                yield announcement

    def asgi(self) -> "ASGIApp":
        """Return the HTTP face: REST, sockets, and the worker behind them, to serve or to mount.

        Jobs run from the first request on, or from the server's start where it tells us of it. On
        the distributed profile they run in the processes of ``encola worker`` instead.
        """
        from encola.entrypoints.api.app import build_api

        return build_api(self.use_cases, self.runtime)

    async def __aenter__(self) -> "Encola":
        await self.runtime.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        runtime, self._runtime, self._container = self.runtime, None, None
        await runtime.stop()

    @property
    def container(self) -> "Container":
        """Return the container, for tests that override a provider before first use."""
        if self._container is None:
            from encola.entrypoints.profiles import build
            from encola.entrypoints.shipped_jobs import register_shipped_jobs

            register_shipped_jobs(self._handlers)
            self._container = build(self.settings, self._handlers)
        return self._container

    @property
    def settings(self) -> "Settings":
        """Return what was given in code, over what the environment says.

        :raises InvalidSettings: a value cannot be used
        """
        from encola.entrypoints.settings import load_settings

        return self._given or load_settings(**self._options)

    @property
    def use_cases(self) -> "UseCases":
        """Return what can be asked of this application."""
        return self.container.use_cases()

    @property
    def runtime(self) -> "Runtime":
        """Return what opens, runs and closes it."""
        if self._runtime is None:
            from encola.entrypoints.runtime import Runtime

            drain_seconds = self.use_cases.settings.drain_seconds
            self._runtime = Runtime(self.container.machinery(), drain_seconds=drain_seconds)
        return self._runtime

    def configure(self, settings: "Settings") -> None:
        """Take these settings in place of the environment's; only before first use."""
        self._given = settings

    async def _owner(self, job_id: str, tenant: str | None) -> TenantId:
        await self.runtime.open()
        if tenant is not None:
            return parse_tenant(tenant)
        owner = await self.use_cases.catalog.owner_of(JobId(job_id))
        if owner is None:
            raise JobNotFound(job_id)
        return owner


def _duration(seconds: float | None) -> timedelta | None:
    try:
        return None if seconds is None else timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{seconds} seconds are no duration that a job can have.") from None


def _asked(priority: str) -> Priority:
    try:
        return Priority(priority)
    except ValueError:
        raise InvalidInput(f"There is no priority {priority!r}; use {', '.join(Priority)}.") from None


def _declared(priority: str) -> Priority:
    try:
        return _asked(priority)
    except InvalidInput as error:
        raise InvalidSettings(str(error)) from None
