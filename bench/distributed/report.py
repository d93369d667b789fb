"""The part of the documents that holds what was measured."""

import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from bench.distributed import contenders, front_door, targets, whole_way
from bench.distributed.machine import PEERS
from bench.distributed.rounds import NAP_JOBS, Notes, Sizes
from bench.page import DISTRIBUTED
from encola import __version__

PACKAGES = (
    "celery",
    "taskiq",
    "taskiq-aio-pika",
    "dramatiq",
    "saq",
    "redis",
    "aio-pika",
    "fastapi",
    "uvicorn",
)


def report(notes: Notes, sizes: Sizes, rounds: int, servers: Mapping[str, str]) -> str:
    """Return the part as Markdown, with the scenarios that were measured."""
    lines = [DISTRIBUTED, "", *_conditions(sizes, rounds, servers)]
    for scenario, section in _SECTIONS.items():
        if scenario in notes.scenarios:
            lines += ["", *section(notes, sizes)]
    lines += ["", *targets.lines(notes)]
    return "\n".join(lines) + "\n"


def _conditions(sizes: Sizes, rounds: int, servers: Mapping[str, str]) -> list[str]:
    found = {**servers, **_versions()}
    versions = ", ".join(f"{name} {version}" for name, version in found.items())
    return [
        "Written by `python -m bench distributed --write`. Every contender has its turn in every round, on",
        "the same private Redis (append-only file, `everysec`) and RabbitMQ, which share the cores with the",
        "client and the workers. All run on asyncio's own loop where they have one. Medians; a ratio is",
        "the median of the ratios within each round.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()},"
        f" Encola {__version__}, {versions}; {rounds} rounds.",
    ]


def _no_ops(notes: Notes, sizes: Sizes) -> list[str]:
    scenario, base = "no-ops", contenders.BASE
    rows = [
        (
            one.name,
            one.settings,
            f"{notes.median(scenario, one.name, 'rate'):,.0f}",
            f"{notes.ratio(scenario, one.name, base, 'rate'):.2f}",
            f"{notes.median(scenario, one.name, 'peak'):,.0f}",
        )
        for one in contenders.NO_OPS
    ]
    return [
        "### Jobs that do nothing, two worker processes",
        "",
        f"{sizes.jobs:,} jobs with 200 bytes of JSON and a small result are enqueued while the workers,",
        "started and warm, are frozen. The clock runs from their release until every outcome is in",
        "Redis. Encola writes every state, numbers every event and puts it on the feed of the history.",
        "",
        *_table(("system", "settings", "jobs/s", f"ratio to {base}", "workers' peak MiB"), rows),
    ]


def _naps(notes: Notes, sizes: Sizes) -> list[str]:
    scenario, base = "naps", contenders.BASE
    rows = [
        (
            one.name,
            one.settings,
            f"{notes.median(scenario, one.name, 'wall'):.2f}",
            f"{notes.ratio(scenario, one.name, base, 'wall'):.2f}",
            f"{notes.median(scenario, one.name, 'peak'):,.0f}",
        )
        for one in contenders.NAPS
    ]
    return [
        f"### {NAP_JOBS:,} jobs that each wait for a second, one worker",
        "",
        "Measured as above.",
        "",
        *_table(("system", "settings", "seconds", f"ratio to {base}", "peak MiB"), rows),
    ]


def _whole_way(notes: Notes, sizes: Sizes) -> list[str]:
    scenario, base = "whole-way", whole_way.BASE
    rows = [
        (
            one.name,
            one.settings,
            *(f"{notes.median(scenario, one.name, what):.1f}" for what in ("p50", "p99")),
            " / ".join(f"{notes.ratio(scenario, one.name, base, what):.2f}" for what in ("p50", "p99")),
            f"{notes.median(scenario, one.name, 'rate'):,.0f}",
            f"{notes.ratio(scenario, one.name, base, 'rate'):.2f}",
        )
        for one in whole_way.STACKS
    ]
    headings = ("stack", "settings", "p50, ms", "p99, ms", "ratios", "jobs/s, 64 at once", "ratio")
    return [
        "### The whole way: REST submit, worker, end seen at a WebSocket",
        "",
        f"A job is posted and then followed on a socket of its own: {sizes.idle} one after the other, then",
        f"{sizes.loaded:,} with 64 at once. The hand-made stack is FastAPI, Celery, state in Redis and its",
        f"pub/sub; it keeps no history, no numbers and no leases. Ratios are to “{base}”.",
        "",
        *_table(headings, rows),
    ]


def _front_door(notes: Notes, sizes: Sizes) -> list[str]:
    scenario = "front-door"
    rows = [
        (
            one.name,
            one.settings,
            f"{notes.median(scenario, one.name, 'rate'):,.0f}",
            f"{notes.ratio(scenario, one.name, front_door.SEED, 'rate'):.2f}",
            f"{notes.ratio(scenario, one.name, front_door.BARE, 'rate'):.2f}",
        )
        for one in front_door.DOORS
    ]
    headings = (
        "API",
        "settings",
        "requests/s",
        f"ratio to {front_door.SEED}",
        f"ratio to {front_door.BARE}",
    )
    return [
        "### Submits to one API process",
        "",
        f"{front_door.CONNECTIONS} connections for {sizes.seconds} s, no worker.",
        "",
        *_table(headings, rows),
    ]


_SECTIONS: Mapping[str, Callable[[Notes, Sizes], list[str]]] = {
    "no-ops": _no_ops,
    "naps": _naps,
    "whole-way": _whole_way,
    "front-door": _front_door,
}


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [_line(headings), "|" + "---|" * len(headings), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _versions() -> dict[str, str]:
    """Ask the peers' environment, which is not ours."""
    question = (
        "import json, sys; from importlib.metadata import version;"
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    command = (PEERS / "python", "-c", question, *PACKAGES)
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=30).stdout
    versions: dict[str, str] = json.loads(said)
    return versions
