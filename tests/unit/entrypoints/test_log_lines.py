"""One line a record."""

import logging
import re
import sys

from encola.entrypoints.log_lines import LineFormatter


def record(message: str, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("encola.x", logging.WARNING, __file__, 1, message, args, info)


def test_a_line_has_time_level_logger_and_message() -> None:
    line = LineFormatter().format(record("job %s", "j"))

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING encola\.x job j", line)


def test_a_message_cannot_begin_a_line_of_its_own() -> None:
    line = LineFormatter().format(record("job %s", "a\r\n2026-01-01T00:00:00.000Z INFO forged"))

    assert "\n" not in line
    assert "\r" not in line
    assert "a\\r\\n2026" in line


def test_a_traceback_is_indented_whatever_its_error_says() -> None:
    try:
        raise ValueError("one\n2026-01-01 INFO forged")
    except ValueError as error:
        text = LineFormatter().format(record("crashed", error=error))

    assert sys.exc_info() == (None, None, None)
    assert all(line.startswith("    ") for line in text.split("\n")[1:])
