"""Write those parts of docs/ that say what the code says; with --check, tell which are out of date."""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from encola.adapters.telemetry.prometheus import CATALOGUE
from encola.domain.errors import EncolaError
from encola.domain.job import REOPENABLE, TRANSITIONS, JobStatus
from encola.domain.policy import OPERATIONS, OperationPolicy
from encola.entrypoints.api.problems import STATUS_OF
from encola.entrypoints.cli.main import app
from encola.entrypoints.settings import Settings

DOCS = Path(__file__).parent.parent / "docs"
REGION = re.compile(r"(<!-- generated: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def transitions() -> str:
    """Return the state diagram, and who may be sent round again."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> scheduled", "    [*] --> queued"]
    for status in JobStatus:
        followers = sorted(TRANSITIONS[status], key=list(JobStatus).index)
        lines += [f"    {status} --> {follower}" for follower in followers]
        lines += [f"    {status} --> [*]"] if status.is_terminal else []
    lines += [f"    {status} --> queued: retry on request" for status in JobStatus if status in REOPENABLE]
    return "\n".join([*lines, "```"])


def settings() -> str:
    """Return a row for every setting."""
    rows = (
        (f"`ENCOLA_{name.upper()}`", default_of(field), field.description or "least level that is logged")
        for name, field in Settings.model_fields.items()
    )
    return table(("variable", "default", "meaning"), rows)


def default_of(field: FieldInfo) -> str:
    """Return a setting's default as it is spelt in the environment."""
    value = field.get_default(call_default_factory=True)
    if value in (None, (), {}, PydanticUndefined):
        return "not set"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def errors() -> str:
    """Return a row for every error of the tree."""
    rows = (
        (f"`{error.code}`", f"`{error.__name__}`", str(STATUS_OF[error]), first_line(error))
        for error in tree(EncolaError)
    )
    return table(("code", "class", "HTTP status", "meaning"), rows)


def tree(error: type[EncolaError]) -> Iterator[type[EncolaError]]:
    """Yield an error class and all below it, in the order in which they are written."""
    yield error
    for below in error.__subclasses__():
        yield from tree(below)


def first_line(thing: object) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join((thing.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")


def operations() -> str:
    """Return a row for every operation type."""
    head = (
        "operation type",
        "method",
        "timeout, s",
        "one attempt, s",
        "attempts",
        "repeated",
        "TTL, s",
        "cached",
    )
    return table(head, (operation_row(policy) for policy in OPERATIONS.values()))


def operation_row(policy: OperationPolicy) -> tuple[str, ...]:
    """Return the cells of one policy."""
    return (
        f"`{policy.name}`",
        policy.method,
        f"{policy.timeout:g}",
        f"{policy.attempt_timeout:g}",
        str(policy.attempts),
        policy.repeat.value,
        str(policy.ttl),
        "yes" if policy.caches_response else "no",
    )


def metrics() -> str:
    """Return a row for every metric."""
    rows = (
        (
            f"`{name}`",
            described.kind.__name__.lower(),
            ", ".join(f"`{label}`" for label in described.labels) or "none",
            described.documentation,
        )
        for name, described in CATALOGUE.items()
    )
    return table(("metric", "kind", "labels", "meaning"), rows)


def commands() -> str:
    """Return a section for every command, with its arguments and options."""
    return "\n\n".join(command_section(name, command) for name, command in walk("encola", root()))


def root() -> Any:
    """Return the whole command."""
    return typer.main.get_command(app)


def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, with the words that call it."""
    for child_name, child in command.commands.items():
        words = f"{name} {child_name}"
        if hasattr(child, "commands"):
            yield from walk(words, child)
        else:
            yield words, child


def command_section(name: str, command: Any) -> str:
    """Return what there is to say of one command."""
    context = typer.Context(command, info_name=name)
    records = (parameter.get_help_record(context) for parameter in command.params)
    rows = ((f"`{spelling}`", " ".join(meaning.split())) for spelling, meaning in records)
    return f"### {name}\n\n{command.help}\n\n{table(('argument', 'meaning'), rows)}"


GENERATORS: dict[str, Callable[[], str]] = {
    "transitions": transitions,
    "settings": settings,
    "errors": errors,
    "operations": operations,
    "metrics": metrics,
    "commands": commands,
}


def renewed(page: str) -> str:
    """Return a page with its generated parts made anew."""
    return REGION.sub(lambda found: f"{found[1]}\n{GENERATORS[found[2]]()}\n\n{found[3]}", page)


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or only look; return the exit code."""
    stale = [page for page in sorted(DOCS.rglob("*.md")) if renewed(page.read_text()) != page.read_text()]
    for page in stale:
        if "--check" in arguments:
            print(f"{page.relative_to(DOCS.parent)} is out of date: make docs", file=sys.stderr)
        else:
            page.write_text(renewed(page.read_text()))
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
