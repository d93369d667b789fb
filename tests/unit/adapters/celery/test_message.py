"""What is sent is what Celery would send, and what is read is checked."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery

from encola.adapters.celery.message import (
    RUN,
    RUN_LONG,
    STANDARD_HEADERS,
    UnreadableMessage,
    read_job,
    task_message,
)
from encola.domain.record import dump_job
from encola.testing.builders import GLOBEX, a_full_job, a_job

LIMIT = timedelta(minutes=25)


def celery_message(**options: Any) -> Any:
    """Return what the installed Celery makes of one job's arguments."""
    app = Celery("reference", set_as_current=False)
    job = a_full_job()
    return app.amqp.as_task_v2(job.id, RUN, args=[dump_job(job)], ignore_result=True, **options)


def test_the_body_is_celerys() -> None:
    message = task_message(a_full_job(), early_ack_after=LIMIT)

    assert json.loads(message.body) == json.loads(json.dumps(celery_message().body))


def test_every_header_of_celery_is_there_and_says_the_same() -> None:
    message = task_message(a_full_job(), early_ack_after=LIMIT)
    ours = {**STANDARD_HEADERS, **message.headers}
    theirs = celery_message(argsrepr="", kwargsrepr="", origin=ours["origin"], shadow="report").headers

    assert {name: ours[name] for name in theirs} == theirs


def test_operators_see_whose_job_it_is() -> None:
    message = task_message(a_full_job(), early_ack_after=LIMIT)

    assert {name: message.headers[name] for name in ("shadow", "timeout", "expires_at")} == {
        "shadow": "report",
        "timeout": "90",
        "expires_at": "2026-01-01T13:00:00+00:00",
    }
    assert {name: message.headers[name] for name in a_full_job().context.as_mapping()} == {
        "tenant_id": "acme",
        "agent_id": "agent:1",
        "conversation_id": "talk-2",
        "collection_id": "docs@3",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "rojo=00f067aa0ba902b7",
        "baggage": "plan=a%20b",
        "request_id": "req-4",
    }


def test_no_header_holds_the_params() -> None:
    message = task_message(a_job(params={"secret": "hunter2"}), early_ack_after=LIMIT)

    assert "hunter2" not in str(message.headers)


@pytest.mark.parametrize(("timeout", "task"), [(LIMIT, RUN), (LIMIT + timedelta(seconds=1), RUN_LONG)])
def test_a_job_that_may_outlast_the_brokers_patience_is_a_long_one(timeout: timedelta, task: str) -> None:
    assert task_message(a_job(timeout=timeout), early_ack_after=LIMIT).headers["task"] == task


@pytest.mark.parametrize("job", [a_job(), a_full_job(), a_job(params={"text": "ñ ✓ \u0000 𝄞"})])
def test_a_job_is_read_as_it_was_written(job: Any) -> None:
    message = task_message(job, early_ack_after=LIMIT)

    assert read_job(message.body, dict(message.headers)) == job


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"[[],{},{}]",
        b"[[{}],{},{}]",
        b'[["text"],{},{}]',
        b"[" * 100_000,
        b'{"task":"encola.run","args":[]}',
        "[[1],{},{}]",
    ],
)
def test_what_is_no_job_is_unreadable(body: str | bytes) -> None:
    with pytest.raises(UnreadableMessage):
        read_job(body, {"id": "x", "tenant_id": "acme"})


@pytest.mark.parametrize("field", ["timeout", "created_at", "context", "retry", "error"])
def test_a_damaged_record_is_unreadable_and_not_told(field: str) -> None:
    message = task_message(a_job(), early_ack_after=LIMIT)
    arguments, kwargs, embedded = json.loads(message.body)
    arguments[0][field] = {"secret": 1}

    with pytest.raises(UnreadableMessage) as unreadable:
        read_job(json.dumps([arguments, kwargs, embedded]), dict(message.headers))

    assert "secret" not in str(unreadable.value)


@pytest.mark.parametrize("name", ["id", "tenant_id"])
@pytest.mark.parametrize("value", ["other", None])
def test_headers_of_another_job_make_it_unreadable(name: str, value: str | None) -> None:
    message = task_message(replace(a_job(), type="report"), early_ack_after=LIMIT)

    with pytest.raises(UnreadableMessage):
        read_job(message.body, {**message.headers, name: value})


def test_a_forged_tenant_is_unreadable() -> None:
    message = task_message(a_job(), early_ack_after=LIMIT)

    with pytest.raises(UnreadableMessage):
        read_job(message.body, {**message.headers, "tenant_id": GLOBEX})
