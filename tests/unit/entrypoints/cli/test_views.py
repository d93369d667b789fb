"""How a running job looks where nothing can be redrawn."""

import json
from typing import Any

import pytest

from encola.entrypoints.cli.following import Message
from encola.entrypoints.cli.views import BarView, JsonView, LinesView, View, line_of, make_view


def message(text: str | None = None, **fields: Any) -> Message:
    return Message(json.dumps(fields), fields, text)


def show(view: View, *messages: Message) -> None:
    with view:
        for each in messages:
            view.show(each)


def test_lines_tell_seq_status_progress_and_message() -> None:
    progress = {"current": 1, "total": 2, "percent": 50, "message": "reading"}

    assert line_of({"seq": 3, "status": "processing", "progress": progress}) == "3 processing 50% reading"
    assert line_of({"seq": 1, "status": "queued"}) == "1 queued"
    assert line_of({"seq": 4, "status": "failed", "error": "no\nway"}) == "4 failed no\\nway"


def test_output_stands_between_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show(
        LinesView(),
        message(seq=1, status="processing"),
        message("ho", type="output"),
        message("la", type="output"),
        message(seq=2, status="completed"),
        message("rest", type="output"),
    )

    assert capsys.readouterr().out == "1 processing\nhola\n2 completed\nrest\n"


def test_a_job_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show(LinesView(), message("a\x1b[2Jb\x9b", type="output"), message(seq=1, status="failed", error="\x07"))

    assert capsys.readouterr().out == "a\\x1b[2Jb\\x9b\n1 failed \\x07\n"


def test_json_is_the_wire(capsys: pytest.CaptureFixture[str]) -> None:
    show(JsonView(), Message('{"x": 1}', {"x": 1}))

    assert capsys.readouterr().out == '{"x": 1}\n'


def test_a_pipe_gets_lines_and_a_program_json() -> None:
    assert isinstance(make_view(as_json=False), LinesView)
    assert isinstance(make_view(as_json=True), JsonView)


def test_a_bar_ends_with_the_last_state_and_the_whole_output(capsys: pytest.CaptureFixture[str]) -> None:
    show(
        BarView(),
        message(seq=1, status="processing", progress={"percent": 50, "message": "[bold]half"}),
        message("one\ntw", type="output"),
        message("o [red]", type="output"),
        message(seq=2, status="completed"),
    )

    shown = capsys.readouterr().out
    assert "one\n" in shown
    assert "two [red]\n" in shown
    assert "completed" in shown
    assert "100%" in shown
