"""``python -m tests.chaos [--jobs N] [--seconds S] [--seed N] [--faults a,b]``: the crash matrix."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import SystemRandom

from tests.chaos.crash_faults import APP, crash_faults
from tests.chaos.distributed import DistributedStack
from tests.chaos.faults import PROCESS_FAULTS, Fault
from tests.chaos.plan import Plan, make_plan
from tests.chaos.report import Outcome, table
from tests.chaos.run import run
from tests.chaos.server_faults import ALL_FAULTS
from tests.chaos.stack import EmbeddedStack, Stack

PROFILES: Mapping[str, tuple[type[Stack], Mapping[str, Fault]]] = {
    "embedded": (EmbeddedStack, PROCESS_FAULTS),
    "distributed": (DistributedStack, ALL_FAULTS),
}


def main(arguments: Sequence[str]) -> int:
    """Run once, print the table, and return 1 if something did not hold."""
    asked = _parser().parse_args(arguments)
    stack_type, known = PROFILES[asked.profile]
    kinds = _chosen(asked, {**known, **crash_faults()})
    plan = make_plan(
        asked.seed,
        jobs=asked.jobs,
        seconds=asked.seconds,
        faults={kind: fault.range for kind, fault in kinds.items()},
        every=asked.every,
        poison=max(1, asked.jobs // 1000),
    )
    _say(f"seed {asked.seed}: {asked.jobs} jobs in {asked.seconds:g} s on the {asked.profile} profile")
    for fault in plan.faults:
        _say(f"  {fault}")
    outcome = asyncio.run(_run(asked, stack_type, plan, kinds))
    _say(table(outcome))
    return 0 if outcome.is_clean else 1


def _chosen(asked: argparse.Namespace, known: Mapping[str, Fault]) -> dict[str, Fault]:
    """Return the kinds of fault that were asked for, or all that go together."""
    names = asked.faults.split(",") if asked.faults else list(known)
    away = {"history_away"} if asked.history_down else set()
    return {name: known[name] for name in names if name not in away}


async def _run(
    asked: argparse.Namespace, stack_type: type[Stack], plan: Plan, kinds: Mapping[str, Fault]
) -> Outcome:
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="encola-chaos-"))
    _say(f"logs and data are in {folder}")
    environment = {"ENCOLA_QUEUE_TYPE": asked.queue_type}
    async with stack_type(folder, app=APP, environment=environment) as stack:
        return await run(stack, plan, kinds, history_is_down=asked.history_down, say=_say)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=600.0, help="over which jobs and faults are spread")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1_000_000))
    parser.add_argument("--every", type=float, default=3.0, help="seconds from one fault to the next")
    parser.add_argument("--faults", help="only these kinds, with commas")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="distributed")
    parser.add_argument(
        "--history-down", action="store_true", help="the history service is away all the time"
    )
    parser.add_argument("--queue-type", choices=["classic", "quorum"], default="classic")
    parser.add_argument("--folder", type=Path, help="for logs and data, instead of a new one")
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
