"""The bytes we make are those that an AMQP library makes and reads."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from encola.adapters.celery.message import STANDARD_HEADERS, TaskMessage, task_message
from encola.adapters.celery.wire import PublishedFrames
from encola.testing.builders import a_full_job

MESSAGE = task_message(a_full_job(), early_ack_after=timedelta(minutes=25))


def read(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the channel and the frame of each frame in the data."""
    while data:
        size, channel, frame = pamqp.frame.unmarshal(data)
        yield channel, frame
        data = data[size:]


def frames_of(message: TaskMessage, *, body_limit: int = 100_000) -> list[Any]:
    """Return the frames of a message as pamqp reads them."""
    return [frame for _, frame in read(PublishedFrames(7, body_limit).encode(message, "41"))]


def test_a_message_is_published_to_its_queue_or_comes_back() -> None:
    method = frames_of(MESSAGE)[0]

    assert isinstance(method, Basic.Publish)
    assert (method.exchange, method.routing_key, method.mandatory) == ("", "query_tasks", True)


def test_the_header_frame_says_what_celery_wants_to_know() -> None:
    header = frames_of(MESSAGE)[1]

    assert isinstance(header, ContentHeader)
    assert header.body_size == len(MESSAGE.body)
    assert header.properties.headers == {**STANDARD_HEADERS, **MESSAGE.headers}
    assert {name: value for name, value in header.properties if value and name != "headers"} == {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "delivery_mode": 2,
        "correlation_id": a_full_job().id,
        "message_id": "41",
    }


@pytest.mark.parametrize("body_limit", [1, 100, len(MESSAGE.body) - 1, len(MESSAGE.body), 100_000])
def test_a_long_body_travels_in_pieces(body_limit: int) -> None:
    bodies = frames_of(MESSAGE, body_limit=body_limit)[2:]

    assert all(isinstance(body, ContentBody) and len(body.value) <= body_limit for body in bodies)
    assert b"".join(body.value for body in bodies) == MESSAGE.body


def test_every_frame_is_of_the_channel() -> None:
    assert {channel for channel, _ in read(PublishedFrames(7, 100).encode(MESSAGE, "1"))} == {7}


@given(queue=st.text(min_size=1, max_size=80), value=st.text(max_size=400), body=st.binary(min_size=1))
def test_any_text_travels(queue: str, value: str, body: bytes) -> None:
    message = TaskMessage("id", queue, {"note": value}, body)
    try:
        method, header, *bodies = frames_of(message, body_limit=50)
    except ValueError:
        assert len(queue.encode(errors="replace")) > 255 or not (queue + value).isprintable()
        return

    assert (method.routing_key, header.properties.headers["note"]) == (queue, value)
    assert b"".join(part.value for part in bodies) == body


def test_a_name_too_long_for_amqp_is_refused() -> None:
    with pytest.raises(ValueError):
        frames_of(TaskMessage("id", "q" * 256, {}, b"{}"))
