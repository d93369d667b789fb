"""``python -m bench distributed [--rounds 3] [--only no-ops …] [--write]``."""

import argparse
import subprocess
import sys
from collections.abc import Sequence

from bench.distributed.machine import ROOT, started
from bench.distributed.report import report
from bench.distributed.rounds import SCENARIOS, Notes, Sizes, measure
from bench.page import PAGE, write_distributed


def main(arguments: Sequence[str]) -> None:
    """Measure everything in interleaved rounds."""
    usual = Sizes()
    parser = argparse.ArgumentParser(prog="python -m bench distributed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=usual.jobs, help="no-ops of each contender")
    parser.add_argument("--idle", type=int, default=usual.idle, help="jobs one after the other")
    parser.add_argument("--loaded", type=int, default=usual.loaded, help="jobs with 64 at once")
    parser.add_argument("--seconds", type=int, default=usual.seconds, help="requests for so long")
    parser.add_argument("--only", choices=SCENARIOS, nargs="+", default=SCENARIOS)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    asked = parser.parse_args(arguments)
    if asked.write and len(asked.only) < len(SCENARIOS):
        parser.error("--write needs all scenarios")
    sizes = Sizes(jobs=asked.jobs, idle=asked.idle, loaded=asked.loaded, seconds=asked.seconds)
    text = _measured(asked.only, asked.rounds, sizes)
    print(text)
    if asked.write:
        write_distributed(text)


def _measured(scenarios: Sequence[str], rounds: int, sizes: Sizes) -> str:
    subprocess.run([ROOT / "bench" / "bootstrap"], check=True)
    notes = Notes()
    with started() as machine:
        for scenario in scenarios:
            for turn in range(rounds):
                print(f"{scenario}: round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
                measure(machine, scenario, sizes, notes)
        servers = machine.versions()
    return report(notes, sizes, rounds, servers)


if __name__ == "__main__":
    main(sys.argv[1:])
