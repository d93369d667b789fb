"""Showing a job that runs: as JSON, as lines, or as a bar where the terminal can."""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from encola.entrypoints.cli.following import Message
from encola.entrypoints.cli.terminal import is_interactive, one_line, plain, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType
    from rich.live import Live
    from rich.progress import Progress


class View(Protocol):
    """Shows messages as they come, while entered."""

    def __enter__(self) -> "View":
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it should be."""
        ...

    def show(self, message: Message) -> None:
        """Show one message."""
        ...


def make_view(*, as_json: bool) -> View:
    """Return the view that suits stdout."""
    if as_json:
        return JsonView()
    return BarView() if is_interactive() else LinesView()


class JsonView(View):
    """One message a line, byte for byte as it came."""

    def __enter__(self) -> "JsonView":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, message: Message) -> None:
        print(message.wire, flush=True)


class LinesView(View):
    """One event a line: seq, status, progress, message. Partial output stands between them."""

    def __init__(self) -> None:
        self._is_mid_line = False

    def __enter__(self) -> "LinesView":
        return self

    def __exit__(self, *_: object) -> None:
        self._end_line()

    def show(self, message: Message) -> None:
        if message.text is not None:
            print(plain(message.text), end="", flush=True)
            self._is_mid_line = not message.text.endswith("\n")
        else:
            self._end_line()
            say(line_of(message.fields))

    def _end_line(self) -> None:
        if self._is_mid_line:
            print(flush=True)
            self._is_mid_line = False


class BarView(View):
    """A bar that moves, below the partial output: whole lines scroll away, the last one grows."""

    def __init__(self) -> None:
        self._progress = _make_progress()
        self._bar = self._progress.add_task("", total=None, status="", note="")
        self._pending = ""
        self._live = _make_live(self._picture)

    def __enter__(self) -> "BarView":
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        last, self._pending = self._pending, ""
        self._write(last)
        self._live.stop()

    def show(self, message: Message) -> None:
        if message.text is not None:
            *lines, self._pending = (self._pending + message.text).split("\n")
            for line in lines:
                self._write(line)
        else:
            self._move(message.fields)

    def _move(self, fields: dict[str, Any]) -> None:
        progress = fields.get("progress") or {}
        done = 100 if fields["status"] == "completed" else progress.get("percent")
        self._progress.update(
            self._bar,
            total=None if done is None else 100,
            completed=done or 0,
            status=fields["status"],
            note=one_line(_note_of(fields)),
        )
        self._live.refresh()

    def _picture(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        return Group(Text(plain(self._pending)), self._progress) if self._pending else self._progress

    def _write(self, line: str) -> None:
        if line:
            self._live.console.print(plain(line), markup=False, highlight=False)


def line_of(fields: dict[str, Any]) -> str:
    """Return the line for one event."""
    progress = fields.get("progress")
    share = "" if progress is None else f"{progress['percent']}%"
    parts = (str(fields["seq"]), fields["status"], share, one_line(_note_of(fields)))
    return " ".join(part for part in parts if part)


def _note_of(fields: dict[str, Any]) -> str:
    progress = fields.get("progress") or {}
    return str(fields.get("error") or progress.get("message") or "")


def _make_progress() -> "Progress":
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

    return Progress(
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.fields[status]}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )


def _make_live(picture: "Callable[[], RenderableType]") -> "Live":
    from rich.console import Console
    from rich.live import Live

    # Redrawn several times a second; what is told on stderr meanwhile comes out above.
    return Live(get_renderable=picture, console=Console(), redirect_stdout=False, redirect_stderr=True)
