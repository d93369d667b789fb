"""Celery's tasks run as jobs, and Encola's context in Celery's tasks."""

from dataclasses import dataclass
from typing import Any

import pytest
from celery import Celery, Task, shared_task
from celery.contrib.testing.worker import start_worker

from encola.adapters.celery import create_context_task, handler_of
from encola.application.current import current_context, running_in
from encola.application.handlers import params_model_of
from encola.domain.context import ExecutionContext, TenantId
from encola.domain.errors import InvalidContext, JobFailed
from encola.domain.json_value import JSON

ACME = ExecutionContext(
    tenant_id=TenantId("acme"),
    agent_id="a1",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    tracestate="x=1",
    baggage="plan=a%20b",
    request_id="r-1",
)
GLOBEX = ExecutionContext(tenant_id=TenantId("globex"))


@dataclass(frozen=True)
class Context:
    """As much of a job's context as the handler looks at."""

    job_id: str = "job-1"
    attempt: int = 1


@pytest.fixture
def app() -> Celery:
    """Return a user's Celery application, whose tasks run in the caller when they are sent."""
    app = Celery("users", set_as_current=False)
    app.conf.task_always_eager = True
    return app


@pytest.mark.parametrize(
    ("params", "result"), [({"a": 1, "b": 2}, [1, 2]), ([1, 2], [1, 2]), ([1], [1, 7]), (1, [1, 7])]
)
def test_params_become_arguments(app: Celery, params: JSON, result: JSON) -> None:
    @app.task(shared=False)
    def pair(a: int, b: int = 7) -> list[int]:
        return [a, b]

    assert handler_of(pair)(Context(), params) == result


def test_null_is_no_argument(app: Celery) -> None:
    @app.task(shared=False)
    def nothing() -> str:
        return "done"

    assert handler_of(nothing)(Context(), None) == "done"


def test_a_handler_takes_a_context_and_params(app: Celery) -> None:
    @app.task(shared=False)
    def make() -> None:
        pass

    assert params_model_of(handler_of(make)) is None


def test_a_bound_task_knows_its_request(app: Celery) -> None:
    @app.task(shared=False, bind=True)
    def tell(self: Any, a: int) -> list[Any]:
        return [self.name, self.request.id, self.request.retries, list(self.request.args), a]

    assert handler_of(tell)(Context(attempt=3), [5]) == [tell.name, "job-1", 2, [5], 5]
    assert tell.request.id is None


def test_a_shared_task_runs(app: Celery) -> None:
    @shared_task
    def shout(text: str) -> str:
        return text.upper()

    assert handler_of(shout)(Context(), {"text": "hola"}) == "HOLA"


def test_a_task_of_a_users_class_runs_as_it_does_in_celery(app: Celery) -> None:
    class InBrackets(Task):
        def __call__(self, *args: Any, **kwargs: Any) -> str:
            return f"[{super().__call__(*args, **kwargs)}]"

    @app.task(shared=False, base=InBrackets)
    def name() -> str:
        return "x"

    assert handler_of(name)(Context(), None) == "[x]"


@pytest.mark.parametrize("options", [{}, {"exc": ValueError("no")}, {"countdown": 5}])
def test_retrying_is_refused_with_a_word_on_what_to_do(app: Celery, options: dict[str, Any]) -> None:
    @app.task(shared=False, bind=True)
    def flaky(self: Any) -> None:
        try:
            raise OSError
        except OSError:
            raise self.retry(**options) from None

    with pytest.raises(JobFailed, match="its retries are set on its type") as failed:
        handler_of(flaky)(Context(), None)
    assert (failed.value.failure_code, failed.value.retryable) == ("celery_retry", False)


def test_automatic_retries_are_left_to_encola(app: Celery) -> None:
    @app.task(shared=False, autoretry_for=(OSError,))
    def flaky() -> None:
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        handler_of(flaky)(Context(), None)


def test_the_task_itself_stays_as_it_was(app: Celery) -> None:
    @app.task(shared=False, bind=True)
    def task(self: Any) -> None:
        pass

    retry = task.retry
    handler_of(task)(Context(), None)

    assert task.retry == retry


def test_params_that_do_not_fit_fail_the_job_for_good(app: Celery) -> None:
    @app.task(shared=False)
    def needs(a: int) -> None:
        pass

    with pytest.raises(JobFailed, match="missing a required argument: 'a'") as failed:
        handler_of(needs)(Context(), {})
    assert (failed.value.failure_code, failed.value.retryable) == ("invalid_params", False)


def test_an_exception_is_the_tasks_own(app: Celery) -> None:
    @app.task(shared=False)
    def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        handler_of(fails)(Context(), None)


def test_a_context_task_is_named_after_its_queue(app: Celery) -> None:
    @create_context_task(app, "agent_tasks")
    def execute() -> None:
        pass

    assert execute.name == "agent_tasks.execute"


def test_a_context_task_runs_in_the_context_of_its_sender(app: Celery) -> None:
    @create_context_task(app, "agent_tasks")
    def execute(text: str) -> Any:
        return [text, current_context()]

    with running_in(ACME):
        sent = [execute.delay("a"), execute.apply_async(["a"]), execute.apply_async_with_context(None, "a")]

    assert [result.get() for result in sent] == [["a", ACME]] * 3


def test_a_context_that_is_given_goes_before_the_current_one(app: Celery) -> None:
    @create_context_task(app, "agent_tasks")
    def execute(text: str, ctx: Any = None) -> Any:
        return [text, ctx, current_context()]

    with running_in(ACME):
        result = execute.apply_async_with_context(GLOBEX, text="a").get()
        assert current_context() == ACME

    assert result == ["a", GLOBEX, GLOBEX]


def test_a_context_does_not_outlive_its_task(app: Celery) -> None:
    @create_context_task(app, "agent_tasks")
    def execute() -> Any:
        return current_context()

    assert execute.apply_async_with_context(ACME).get() == ACME
    assert execute.delay().get() is None
    assert current_context() is None


def test_a_context_travels_with_the_message() -> None:
    app = Celery("users", broker="memory://", backend="cache+memory://", set_as_current=False)

    @create_context_task(app, "agent_tasks")
    def execute(ctx: Any) -> Any:
        return [ctx.as_mapping(), current_context() == ctx]

    with start_worker(app, pool="solo", perform_ping_check=False, queues=["agent_tasks"]):
        result = execute.apply_async_with_context(ACME).get(timeout=10)

    assert result == [ACME.as_mapping(), True]


def test_a_sender_from_before_requests_had_names_is_understood(app: Celery) -> None:
    @create_context_task(app, "agent_tasks")
    def execute(ctx: Any) -> Any:
        return ctx

    headers = {"tenant_id": "acme", "traceparent": "00-nonsense", "request_id": "not a name"}

    assert execute.apply_async(headers=headers).get() == ExecutionContext(tenant_id=TenantId("acme"))


def test_a_context_task_that_is_called_runs_in_the_callers_context(app: Celery) -> None:
    @create_context_task(app, "agent_tasks")
    def execute(ctx: Any) -> Any:
        return ctx

    with running_in(ACME):
        assert execute() == ACME


def test_a_forged_context_fails_the_task(app: Celery) -> None:
    @create_context_task(app, "agent_tasks")
    def execute() -> None:
        pass

    with pytest.raises(InvalidContext):
        execute.apply_async(headers={"tenant_id": "a b"}).get()
