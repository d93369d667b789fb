"""``make run-distributed`` as whoever tries it meets it: one command, several processes, nothing left."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from commands import environment

SCRIPT = Path(__file__).parents[2] / "scripts" / "run_distributed.py"
READY_SECONDS = 90.0
END_SECONDS = 60.0
# Redis, RabbitMQ and four processes start and end, twice in one test.
pytestmark = pytest.mark.timeout(300)
QUERY = {"type": "query", "params": {"query": "leases"}}


class Trial:
    """One run of the script, and what it started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / ".encola" / "distributed"
        self._output = (folder / "output").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, SCRIPT],
            cwd=folder,
            env=environment(ENCOLA_PORT="0", ENCOLA_DRAIN_SECONDS="2"),
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    @property
    def output(self) -> str:
        """Return what it printed so far."""
        return Path(self._output.name).read_text()

    @property
    def log(self) -> str:
        """Return what it and its processes printed."""
        return self.output + "".join(log.read_text() for log in self.folder.glob("*.log"))

    def urls(self) -> list[str]:
        """Return where its APIs answer, as soon as they do."""
        until(lambda: "Stop: Ctrl-C" in self.output or self.process.poll() is not None, READY_SECONDS)
        assert self.process.poll() is None, self.log
        return re.findall(r"http://[\d.:]+", self.output.partition("Servers:")[0])

    def started(self) -> set[int]:
        """Return the processes that belong to it, itself included."""
        family, parents = {self.process.pid}, parent_of()
        while more := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= more
        return family

    def end(self, number: signal.Signals) -> int:
        """Send it the signal and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(END_SECONDS)

    def close(self) -> None:
        """See to it that nothing of it outlives the test."""
        self.process.kill()
        self.process.wait()
        self._output.close()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[[], Trial]]:
    """Return a function that starts the script, always in the same folder."""
    trials: list[Trial] = []

    def start() -> Trial:
        trials.append(Trial(tmp_path))
        return trials[-1]

    yield start
    for trial in trials:
        trial.close()


def test_a_job_given_to_one_api_ends_before_the_eyes_of_the_other_and_nothing_is_left_running(
    begin: Callable[[], Trial],
) -> None:
    trial = begin()
    one, other = trial.urls()

    job = submit(one)
    last = last_event(other, job)
    started = trial.started()
    code = trial.end(signal.SIGTERM)

    assert last["type"] == "job_completed"
    assert last["result"]["documents"]
    assert code == 0, trial.log
    assert len(started) > 6
    until(lambda: not alive(started), 5)
    assert "Traceback" not in trial.log


def test_the_next_start_has_what_the_last_one_kept_and_a_child_that_dies_ends_it(
    begin: Callable[[], Trial],
) -> None:
    trial = begin()
    job = submit(trial.urls()[0])
    assert last_event(trial.urls()[1], job)["final"]
    assert trial.end(signal.SIGINT) == 0

    trial = begin()
    kept = httpx.get(f"{trial.urls()[0]}/api/jobs/{job}").json()
    started = trial.started()
    os.kill(worker_of(trial), signal.SIGKILL)
    code = trial.process.wait(END_SECONDS)

    assert kept["status"] == "completed"
    assert code == 1
    assert "run-distributed: worker-1 ended with code -9" in trial.output.splitlines()[-1]
    until(lambda: not alive(started), 5)


def test_a_folder_is_for_one_at_a_time(begin: Callable[[], Trial]) -> None:
    first = begin()
    first.urls()

    second = begin()

    assert second.process.wait(END_SECONDS) == 1
    assert second.output.count("\n") == 1
    assert "ENCOLA_DATA_DIR" in second.output
    assert first.process.poll() is None


def submit(url: str) -> str:
    """Submit a query and return its id."""
    answer = httpx.post(f"{url}/api/jobs", json=QUERY, timeout=30)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


def last_event(url: str, job: str) -> dict[str, Any]:
    """Return the event with which a job's stream ends."""
    headers = {"Accept": "text/event-stream"}
    with httpx.stream("GET", f"{url}/api/jobs/{job}/events", headers=headers, timeout=30) as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data:")]
    return dict(json.loads(lines[-1].removeprefix("data:")))


def worker_of(trial: Trial) -> int:
    """Return the process of the first worker."""
    line = next(line for line in (trial.folder / "worker-1.log").read_text().splitlines() if "pid" in line)
    return int(json.loads(line)["pid"])


def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def alive(pids: set[int]) -> set[int]:
    """Return those that run."""
    return pids & parent_of().keys()


def parent_of() -> dict[int, int]:
    """Return every process with its parent, without those that only wait to be noticed."""
    table = subprocess.run(
        ["ps", "-eo", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in table.splitlines()]
    return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}
