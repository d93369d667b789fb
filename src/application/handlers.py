"""Which function runs a type of job, and under which policy. Checked when it is registered."""

import dataclasses
import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from encola.domain.errors import InvalidParams, InvalidSettings, UnknownJobType
from encola.domain.job import Priority
from encola.domain.json_value import JSON, check_json
from encola.domain.policy import RetryPolicy

Handler = Callable[[Any, Any], Awaitable[object] | object]

SHIPPED_QUEUES = ("agent_tasks", "embedding_tasks", "query_tasks")
DEFAULT_QUEUE = "agent_tasks"

_NAME = re.compile(r"[A-Za-z0-9._:@-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobType:
    """One kind of job. ``params_model`` is a pydantic model, or ``None`` for plain JSON.

    ``cache_ttl`` says that equal work gives equal results for so long; ``None`` that it does not.
    """

    name: str
    function: Handler
    queue: str = DEFAULT_QUEUE
    retry: RetryPolicy = dataclasses.field(default_factory=RetryPolicy)
    timeout: timedelta = timedelta(minutes=5)
    priority: Priority = Priority.NORMAL
    cache_ttl: timedelta | None = None
    params_model: Any = None
    is_shipped: bool = False

    @property
    def is_async(self) -> bool:
        """Tell whether the handler runs on the loop rather than in a thread."""
        return inspect.iscoroutinefunction(self.function)

    def parse(self, params: JSON) -> object:
        """Return what the handler is called with.

        :raises InvalidParams: the params do not fit the model
        """
        if self.params_model is None:
            return params
        try:
            return self.params_model.model_validate(params)
        except ValueError as error:
            raise InvalidParams(f"The params do not fit {self.name!r}.", _problems(error)) from None


class HandlerRegistry:
    """The job types of one application, by name."""

    def __init__(self) -> None:
        self._types: dict[str, JobType] = {}
        self._more_queues: set[str] = set()

    def add(self, job_type: JobType) -> None:
        """Register a type; one that Encola ships gives way to one that it does not.

        :raises InvalidSettings: the name is taken, or outside the grammar
        """
        _check_name("job type", job_type.name)
        _check_name("queue", job_type.queue)
        taken = self._types.get(job_type.name)
        if taken is not None and job_type.is_shipped:
            return
        if taken is not None and not taken.is_shipped:
            raise InvalidSettings(f"The job type {job_type.name!r} is registered twice.")
        self._types[job_type.name] = job_type

    def get(self, name: str) -> JobType:
        """Return the type of that name.

        :raises UnknownJobType: there is none
        """
        try:
            return self._types[name]
        except KeyError:
            raise UnknownJobType(
                f"There is no job type {name!r}; known are {', '.join(sorted(self._types)) or 'none'}."
            ) from None

    @property
    def queues(self) -> tuple[str, ...]:
        """Return the names of all queues that a job may wait in, in the order of the alphabet."""
        return tuple(sorted({*self._more_queues, *(job_type.queue for job_type in self)}))

    def declare(self, queues: Iterable[str]) -> None:
        """Allow queues that no type names, for jobs that are sent there one by one.

        :raises InvalidSettings: a name is outside the grammar
        """
        for queue in queues:
            _check_name("queue", queue)
            self._more_queues.add(queue)

    def __iter__(self) -> Iterator[JobType]:
        return iter(self._types.values())

    def __contains__(self, name: object) -> bool:
        return name in self._types


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidSettings(f"The {what} {name!r} must be 1 to 128 of A-Z a-z 0-9 . _ : @ -")


def params_model_of(function: Handler) -> Any:
    """Return the pydantic model with which a handler's second parameter is annotated, or ``None``.

    :raises InvalidSettings: the handler does not take a context and params
    """
    name = getattr(function, "__qualname__", repr(function))
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 2:
        raise InvalidSettings(f"The handler {name} must take two parameters: the context and the params.")
    try:
        annotation = typing.get_type_hints(function).get(parameters[1].name)
    except NameError as error:
        raise InvalidSettings(
            f"The annotations of the handler {name} cannot be resolved: {error}."
        ) from error
    return annotation if hasattr(annotation, "model_validate") else None


def plain_json(value: object) -> JSON:
    """Return a handler's result as JSON: pydantic models, dataclasses and tuples become plain.

    :raises NotJson: it holds something that JSON cannot
    """
    return check_json(_plain(value))


def _plain(value: object) -> object:
    if hasattr(value, "model_dump") and not isinstance(value, type):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    return value


def _problems(error: ValueError) -> list[tuple[str, str]]:
    """Read pydantic's errors without their input, which may be secret."""
    details: list[dict[str, Any]] = error.errors() if hasattr(error, "errors") else []
    return [
        ("".join(f"/{part}" for part in detail.get("loc", ())), str(detail.get("msg", "")))
        for detail in details[:20]
    ]
