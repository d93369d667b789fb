"""For those who come from Celery: their tasks as Encola jobs, and Encola's context in their tasks."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, NoReturn

from celery import Celery, Task
from celery.local import Proxy

from encola.application.current import current_context, current_deadline, running_in
from encola.domain.context import ExecutionContext
from encola.domain.errors import JobFailed
from encola.domain.json_value import JSON

CONTEXT_PARAMETER = "ctx"


def handler_of(task: Any) -> Callable[[Any, JSON], object]:
    """Return a handler that runs a Celery task.

    Params that are an object become keyword arguments, a list positional ones, ``null`` none, and
    anything else one argument. Of ``self.request`` there are ``id``, ``args``, ``kwargs`` and ``retries``.
    Encola retries by the job type's policy: ``self.retry()`` fails the job, and ``autoretry_for`` is not
    heeded.

    :param task: what ``@app.task`` or ``@shared_task`` returned
    """

    @functools.cache
    def ready_task() -> Any:
        # Not before the first job: to ask for a task is to have Celery read its configuration.
        return _without_retry(_found(task))

    def run_task(context: Any, params: JSON) -> object:
        ready = ready_task()
        args, kwargs = _arguments(params)
        try:
            inspect.signature(ready.run).bind(*args, **kwargs)
        except TypeError as error:
            message = f"The params do not fit the Celery task {ready.name}: {error}."
            raise JobFailed(message, code="invalid_params") from None
        ready.push_request(id=context.job_id, args=args, kwargs=kwargs, retries=context.attempt - 1)
        try:
            return ready(*args, **kwargs)
        finally:
            ready.pop_request()

    return run_task


def create_context_task(app: Celery, queue_name: str) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that makes a Celery task which runs in the context of whoever sent it.

    The task is called ``<queue_name>.<function>`` and goes to that queue. ``delay`` and ``apply_async``
    take the current context along in the message's headers; ``apply_async_with_context(ctx, …)`` takes
    another. While the task runs, that context is current, as in a job: ``call_service`` uses it, and a
    parameter ``ctx`` of the function is given it.

    :param app: the Celery application that gets the task
    """

    def decorate(function: Callable[..., Any]) -> Any:
        return app.task(
            function,
            base=ContextTask,
            name=f"{queue_name}.{function.__name__}",
            sent_to=queue_name,
            # What a function is given as `ctx` its senders do not give.
            typing=False,
            shared=False,
        )

    return decorate


class ContextTask(Task):
    """A Celery task that carries the context of its sender."""

    abstract = True
    sent_to: str

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Send the task, as Celery does, with the current context if there is one."""
        headers = dict(options.pop("headers", None) or {})
        context = current_context()
        if context is not None and "tenant_id" not in headers:
            headers |= context.as_mapping()
        return super().apply_async(args, kwargs, headers=headers, **{"queue": self.sent_to, **options})

    def apply_async_with_context(self, ctx: ExecutionContext | None = None, *args: Any, **kwargs: Any) -> Any:
        """Send the task with these arguments, in that context or in the current one."""
        headers = {} if ctx is None else ctx.as_mapping()
        return self.apply_async(args, kwargs, headers=headers)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task in its context; called directly, in the caller's."""
        context = _context_of(self.request) or current_context()
        if CONTEXT_PARAMETER in inspect.signature(self.run).parameters:
            kwargs.setdefault(CONTEXT_PARAMETER, context)
        if context is None:
            return super().__call__(*args, **kwargs)
        with running_in(context, current_deadline()):
            return super().__call__(*args, **kwargs)


def _context_of(request: Any) -> ExecutionContext | None:
    """Return the context that came with a task, if one did.

    :raises InvalidContext: what came is none
    """
    # A worker makes attributes of the headers; a task that is applied eagerly has them in one.
    headers = request.headers or {}
    names = [field.name for field in dataclasses.fields(ExecutionContext)]
    values = {name: request.get(name) or headers.get(name) for name in names}
    return ExecutionContext.from_mapping(values) if values["tenant_id"] else None


def _found(task: Any) -> Any:
    """Return the task behind Celery's promises of one."""
    while issubclass(type(task), Proxy):
        task = task._get_current_object()
    return task


def _without_retry(task: Any) -> Any:
    """Return a copy of the task that refuses to retry, and does not try to by itself."""
    # Task pickles, and so copies, by its name: that would be the same one again.
    copy = object.__new__(type(task))
    vars(copy).update(vars(task))
    # What `autoretry_for` has wrapped stands here; the function itself is the class's.
    vars(copy).pop("run", None)

    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        message = (
            f"The Celery task {task.name} called self.retry(); as a job its retries are set on its type."
        )
        raise JobFailed(message, code="celery_retry")

    copy.retry = refuse
    return copy


def _arguments(params: JSON) -> tuple[list[JSON], dict[str, JSON]]:
    if isinstance(params, dict):
        return [], params
    if isinstance(params, list):
        return params, {}
    return ([] if params is None else [params]), {}
