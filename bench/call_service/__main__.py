"""``python -m bench call_service [--rounds 5] [--write]``, or ``--faults``."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.call_service import faults
from bench.call_service.report import Figures, report
from bench.page import PAGE, write_call_service
from encola.testing.servers import RedisServer

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-bench" / "bin" / "python"
CLIENT_CORE, SERVER_CORE = "0", "1"
SECONDS = 120.0
CALLS = {"httpx": 1_500, "the obvious stack": 1_500, "hishel": 1_500, "L1": 200_000}
MANY = 6_000
RUNS = [
    *[
        (name, at_once)
        for at_once in (1, 20, 100)
        for name in ("aiohttp", "httpx", "the obvious stack", "Encola")
    ],
    *[(name, at_once) for at_once in (1, 20) for name in ("hishel", "L2")],
    ("L1", 1),
    ("overhead", 1),
]


def main(arguments: Sequence[str]) -> None:
    """Measure the speed in interleaved rounds, or what happens under faults."""
    parser = argparse.ArgumentParser(prog="python -m bench call_service")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--faults", action="store_true", help="what happens when things go wrong")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    asked = parser.parse_args(arguments)
    if asked.faults:
        sys.exit(asyncio.run(faults.main()))
    figures = _measured(asked.rounds)
    text = report(figures, asked.rounds)
    print(text)
    if asked.write:
        write_call_service(text)


def _measured(rounds: int) -> Figures:
    subprocess.run([ROOT / "bench" / "bootstrap"], check=True)
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as redis, _upstream() as url:
        for turn in range(rounds):
            print(f"call_service: round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
            for name, at_once in RUNS:
                for what, value in _run(name, url, at_once, redis.url).items():
                    figures.setdefault((name, at_once, what), []).append(value)
    return figures


def _run(name: str, url: str, at_once: int, redis_url: str) -> dict[str, float]:
    is_ours = name in ("Encola", "L1", "L2", "overhead")
    python, module = (sys.executable, "ours") if is_ours else (PEERS, "peers")
    calls = CALLS.get(name, MANY)
    target = url if is_ours else f"{url}/internal/query"
    done = subprocess.run(
        [
            *("taskset", "-c", CLIENT_CORE, python, "-m", f"bench.call_service.{module}"),
            *(name, target, str(calls), str(at_once)),
        ],
        env={**os.environ, "BENCH_REDIS_URL": redis_url},
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
        timeout=SECONDS,
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


@contextmanager
def _upstream() -> Iterator[str]:
    command = ["taskset", "-c", SERVER_CORE, sys.executable, "-m", "bench.call_service.upstream"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


if __name__ == "__main__":
    main(sys.argv[1:])
