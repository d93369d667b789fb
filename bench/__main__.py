"""``python -m bench [--rounds 5] [--jobs 1000] [--write]``: measure, print, and keep the table.

This is the embedded profile; ``python -m bench distributed`` measures the other one, and
``python -m bench call_service`` the calls between services.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version

from bench.contenders import CONTENDERS
from bench.latency import import_cost, measure
from bench.page import PAGE, write_embedded

LATENCY_JOBS = 300
PEERS = {
    "Encola embedded, fsync on": "Huey on SQLite, fsync on",
    "Encola embedded, fsync off": "Huey on SQLite, fsync off",
}


def main() -> None:
    """Measure everything in interleaved rounds."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    asked = parser.parse_args()
    text = _report(_throughput(asked.rounds, asked.jobs), _latency(asked.rounds), asked.rounds, asked.jobs)
    print(text)
    if asked.write:
        write_embedded(text)


def _throughput(rounds: int, jobs: int) -> dict[str, dict[str, list[float]]]:
    rates: dict[str, dict[str, list[float]]] = {name: {} for name in CONTENDERS}
    for _ in range(rounds):
        for name in CONTENDERS:
            command = [sys.executable, "-m", "bench.contenders", name, str(jobs)]
            said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
            for what, rate in json.loads(said).items():
                rates[name].setdefault(what, []).append(rate)
    return rates


def _latency(rounds: int) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {}
    for _ in range(rounds):
        for what, milliseconds in {
            **measure(LATENCY_JOBS),
            "import of the public names": import_cost(),
        }.items():
            figures.setdefault(what, []).append(milliseconds)
    return figures


def _report(
    rates: dict[str, dict[str, list[float]]], latency: dict[str, list[float]], rounds: int, jobs: int
) -> str:
    medians = {
        name: {what: statistics.median(seen) for what, seen in rows.items()} for name, rows in rates.items()
    }
    lines = [
        "# Benchmarks",
        "",
        "Written by `python -m bench --write`. Rates drift from machine to machine and from hour to hour:",
        "what holds is the ratio to the peer, measured in the same run, in turns.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()},"
        f" Encola {version('encola')}, Huey {version('huey')}, SQLAlchemy {version('sqlalchemy')};"
        f" medians of {rounds} rounds.",
        "",
        "## Throughput",
        "",
        f"{jobs:,} jobs that do nothing, each with 200 bytes of JSON, submitted and run in one process.",
        "Encola keeps every state, numbers every event and passes it to its history; Huey keeps the task",
        "until it is taken, and its result.",
        "",
        "| system | submit, jobs/s | submit until all have ended, jobs/s | ratio to Huey, same setting |",
        "|---|---|---|---|",
        *(_row(name, medians) for name in medians),
        "",
        "With `fsync` on, an accepted job survives a power cut; off, only the death of the process. The",
        "target, Huey's rate at the same setting, is not met at Huey's fastest set-up, four threads",
        "whose results are left where they are: Huey writes a job twice and keeps no history of it,",
        "Encola writes its acceptance, its start, its end and three events, and is bound by Python,",
        "about 0.8 ms a job, not by the disk.",
        "",
        "## Latency",
        "",
        f"{LATENCY_JOBS} jobs one after the other, from a client in another process to `encola dev`, with",
        "`fsync` on and a new socket for each job.",
        "",
        "| what | milliseconds |",
        "|---|---|",
        *(f"| {what} | {statistics.median(seen):.1f} |" for what, seen in latency.items()),
        "",
    ]
    return "\n".join(lines)


def _row(name: str, medians: dict[str, dict[str, float]]) -> str:
    own = medians[name]
    peer = PEERS.get(name)
    ratio = f"{own['end to end'] / medians[peer]['end to end']:.2f}" if peer else ""
    return f"| {name} | {own['submit']:,.0f} | {own['end to end']:,.0f} | {ratio} |"


def _chosen() -> None:
    if sys.argv[1:2] == ["distributed"]:
        from bench.distributed.__main__ import main as measure_distributed

        measure_distributed(sys.argv[2:])
    elif sys.argv[1:2] == ["call_service"]:
        from bench.call_service.__main__ import main as measure_call_service

        measure_call_service(sys.argv[2:])
    else:
        main()


if __name__ == "__main__":
    _chosen()
