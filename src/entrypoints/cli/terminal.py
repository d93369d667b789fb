"""What commands print: results on stdout, everything else on stderr."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

_KEPT = "\n\t"


def plain(text: object) -> str:
    """Return ``text`` with control characters spelt out: what jobs say must not steer a terminal."""
    return "".join(
        character if character.isprintable() or character in _KEPT else repr(character)[1:-1]
        for character in str(text)
    )


def one_line(text: object) -> str:
    """Return ``text`` on one line, control characters spelt out."""
    return plain(text).replace("\n", "\\n").replace("\t", " ")


def say(text: object = "") -> None:
    """Print a line of the result."""
    print(plain(text), flush=True)


def say_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def say_value(value: Any) -> None:
    """Print a JSON value for people."""
    say(json.dumps(value, ensure_ascii=False, indent=2))


def say_table(rows: Iterable[Sequence[object]]) -> None:
    """Print rows in columns; the last column is as long as it likes."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def notice(text: str) -> None:
    """Tell the person something that is not part of the result."""
    print(f"encola: {one_line(text)}", file=sys.stderr, flush=True)


def report(message: str, code: str, *, as_json: bool) -> None:
    """Say what went wrong, in one line."""
    if as_json:
        error = {"error": {"code": code, "message": message}}
        print(json.dumps(error, ensure_ascii=False), file=sys.stderr, flush=True)
    else:
        notice(message)


def is_interactive() -> bool:
    """Tell whether stdout is a terminal that can redraw a line."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
