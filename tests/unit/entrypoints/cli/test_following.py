"""Following a job through a network that breaks: each message once, up to the end."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from encola.entrypoints.cli.failures import CommandFailed, Unreachable
from encola.entrypoints.cli.following import LONGEST_PAUSE, Follower, read_data
from encola.entrypoints.cli.remote import Remote

Handler = Callable[[httpx.Request], httpx.Response]


def event(seq: int, status: str = "processing", epoch: str = "e1", **more: Any) -> str:
    fields = {"type": "status_update", "seq": seq, "epoch": epoch, "status": status}
    return json.dumps({**fields, "final": status in ("completed", "failed"), **more})


def output(offset: int, text: str, attempt: int = 1, name: str = "answer") -> str:
    return json.dumps({"type": "output", "name": name, "attempt": attempt, "offset": offset, "text": text})


class Broken(httpx.SyncByteStream):
    """A body that breaks off."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __iter__(self) -> Iterator[bytes]:
        yield self._text.encode()
        raise httpx.ReadError("reset by peer")


def stream(*data: str) -> httpx.Response:
    return httpx.Response(200, text="".join(f"data: {item}\n\n" for item in data))


def broken(*data: str) -> httpx.Response:
    return httpx.Response(200, stream=Broken("".join(f"data: {item}\n\n" for item in data)))


class Script:
    """A server that answers, or fails, by a list."""

    def __init__(self, *steps: httpx.Response | Exception) -> None:
        self._steps = list(steps)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    @property
    def cursors(self) -> list[str | None]:
        return [request.headers.get("last-event-id") for request in self.asked]


def follower(script: Script, **options: Any) -> tuple[Follower, list[str], list[float]]:
    told: list[str] = []
    pauses: list[float] = []
    remote = Remote("http://server", transport=httpx.MockTransport(script))
    options = {"tell": told.append, "sleep": pauses.append, "chance": lambda: 1.0, **options}
    return Follower(remote=remote, job_id="j", **options), told, pauses


def test_events_come_once_though_the_connection_breaks() -> None:
    script = Script(
        broken(event(1), event(2)),
        httpx.ConnectError("refused"),
        stream(event(2), event(3, "completed", result=1)),
    )
    following, told, pauses = follower(script)

    seqs = [message.fields["seq"] for message in following]

    assert seqs == [1, 2, 3]
    assert script.cursors == ["0", "e1:2", "e1:2"]
    assert told == [
        "the connection was lost; trying again until the job has ended",
        "connected again",
    ]
    assert pauses == [0.5, 1.0]


def test_a_stream_that_ends_before_the_job_is_a_lost_connection() -> None:
    script = Script(stream(event(1)), stream(event(2, "completed")))

    assert [message.fields["seq"] for message in follower(script)[0]] == [1, 2]


def test_an_unavailable_server_is_waited_for_as_long_as_it_takes() -> None:
    down = [httpx.Response(503, json={"message": "later", "code": "overloaded"}) for _ in range(20)]
    following, told, pauses = follower(Script(stream(event(1)), *down, stream(event(2, "failed"))))

    assert [message.fields["seq"] for message in following] == [1, 2]
    assert len(pauses) == 21
    assert max(pauses) == LONGEST_PAUSE
    assert len(told) == 2


def test_pauses_are_spread_by_chance() -> None:
    script = Script(stream(event(1)), stream(event(2, "completed")))
    following, _, pauses = follower(script, chance=lambda: 0.0)

    list(following)

    assert pauses == [0.25]


def test_a_server_that_never_answered_is_not_waited_for() -> None:
    following, _, pauses = follower(Script(httpx.ConnectError("refused")))

    with pytest.raises(Unreachable, match="No server answers at http://server"):
        list(following)
    assert pauses == []


def test_a_job_that_is_gone_ends_the_waiting() -> None:
    gone = httpx.Response(404, json={"message": "There is no job with this id.", "code": "job_not_found"})
    following, _, _ = follower(Script(stream(event(1)), gone))

    with pytest.raises(CommandFailed, match="no job") as failed:
        list(following)
    assert failed.value.code == "job_not_found"


def test_a_job_that_ended_before_the_start_shows_its_end() -> None:
    script = Script(
        httpx.Response(204),
        httpx.Response(200, json={"seq": 3, "epoch": "e1"}),
        stream(event(3, "completed", result="x")),
    )
    following, _, _ = follower(script, seq=99)

    assert [message.fields["seq"] for message in following] == [3]
    assert script.cursors[0] == "99"
    assert script.cursors[2] == "2"


def test_an_end_that_was_followed_by_a_retry_is_not_the_end() -> None:
    script = Script(stream(event(1, "failed"), event(2, "queued"), event(3, "completed")))

    assert [message.fields["seq"] for message in follower(script)[0]] == [1, 2, 3]


def test_a_connection_that_breaks_right_after_the_end_shows_it_once() -> None:
    script = Script(broken(event(1), event(2, "failed")), httpx.Response(204))

    assert [message.fields["seq"] for message in follower(script)[0]] == [1, 2]


def test_another_epoch_begins_anew() -> None:
    script = Script(stream(event(5)), stream(event(1, epoch="e2"), event(2, "completed", epoch="e2")))

    assert [message.fields["seq"] for message in follower(script)[0]] == [5, 1, 2]


def test_output_that_is_sent_again_is_not_shown_again() -> None:
    script = Script(
        broken(event(1), output(0, "hö"), output(3, "la ")),
        stream(output(0, "höla m"), output(7, "undo"), event(2, "completed")),
    )

    texts = [message.text for message in follower(script)[0] if message.text is not None]

    assert texts == ["hö", "la ", "m", "undo"]


def test_a_new_attempt_s_output_replaces_the_dead_one_s() -> None:
    late = output(4, "?", attempt=1)
    script = Script(stream(output(0, "dead"), output(0, "live", 2), late, event(2, "completed")))

    texts = [message.text for message in follower(script)[0] if message.text is not None]

    assert texts == ["dead", "live"]


def test_the_wire_is_passed_on_byte_for_byte() -> None:
    wire = event(1, "completed", result="línea\u2028dos\x85tres")
    wire = json.dumps(json.loads(wire), ensure_ascii=False, separators=(",", ":"))

    [message] = follower(Script(stream(wire)))[0]

    assert message.wire == wire


@pytest.mark.parametrize("data", ["{bad", "[]", "{}", '{"type":"status_update"}', '{"type":"output"}'])
def test_what_is_no_event_is_an_error(data: str) -> None:
    with pytest.raises(CommandFailed, match="not an event"):
        list(follower(Script(stream(data)))[0])


def test_comments_names_and_pieces_of_lines_are_read_as_the_standard_says() -> None:
    chunks = [b": ping\n\nid: e:1\r\nda", b"ta: one\r\n", b"data:two\n\nretry: 5\n\ndata: lost"]

    assert list(read_data(chunks)) == ["one\ntwo"]


def test_a_line_without_end_is_not_kept() -> None:
    with pytest.raises(CommandFailed, match="without end"):
        list(read_data(b"x" * 1024 * 1024 for _ in range(100)))
