"""The commands that talk to a server, as real processes against a real one."""

import json
import os
import pty
import re
import signal
import subprocess
from typing import Any

import pytest
from commands import COMMAND, PATIENCE, encola, environment, read_until, running
from processes import HERE, DevServer


class Commands:
    """Commands that talk to one server."""

    def __init__(self, server: DevServer) -> None:
        self.url = server.url

    def __call__(self, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        return encola(*arguments, ENCOLA_URL=self.url, **options)

    def submit(self, *arguments: str) -> str:
        """Submit, and return the id."""
        done = self("submit", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def job(self, job_id: str) -> dict[str, Any]:
        """Return the job as ``jobs show`` has it."""
        shown: dict[str, Any] = json.loads(self("jobs", "show", job_id, "--json").stdout)
        return shown


@pytest.fixture
def on_server(shared_server: DevServer) -> Commands:
    return Commands(shared_server)


def test_a_watched_query_ends_with_its_result(on_server: Commands) -> None:
    done = on_server("submit", "query", '{"query": "how do I watch a job", "top_k": 2}', "--watch")

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["1 queued", "2 processing"]
    result = json.loads(done.stdout[done.stdout.index("{") :])
    assert len(result["documents"]) == 2
    assert done.stderr == ""


def test_watching_as_json_prints_the_wire(on_server: Commands) -> None:
    done = on_server("submit", "steps", '{"steps": 3}', "--watch", "--json")

    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["final"] is True
    assert events[-1]["result"] == 3
    kept = on_server("watch", events[0]["job_id"], "--json").stdout
    assert kept == done.stdout


def test_partial_output_is_shown_as_it_was_written(on_server: Commands) -> None:
    done = on_server("submit", "talk", '{"words": ["hola ", "mundo\\n", "adiós"]}', "--watch")

    assert "hola mundo\nadiós\n" in done.stdout


@pytest.mark.parametrize(
    ("job", "says"),
    [
        (["decline"], "encola: job failed: The card was declined.\n"),
        (["boom"], "encola: job failed: The handler raised ValueError.\n"),
    ],
)
def test_a_job_that_does_not_complete_fails_the_watch(job: list[str], says: str, on_server: Commands) -> None:
    done = on_server("submit", *job, "--watch")

    assert done.returncode == 1
    assert done.stderr.startswith(says)


def test_a_failure_is_json_with_its_own_code_for_programs(on_server: Commands) -> None:
    done = on_server("submit", "decline", "--watch", "--json")

    assert json.loads(done.stderr) == {
        "error": {"code": "card_declined", "message": "job failed: The card was declined."}
    }


def test_submit_prints_the_id_and_nothing_else(on_server: Commands) -> None:
    done = on_server("submit", "echo", "-", stdin='{"from": "stdin"}')

    assert re.fullmatch(r"[0-9a-f-]{36}\n", done.stdout)
    assert done.stderr == ""
    watched = on_server("watch", done.stdout.strip())
    assert json.loads(watched.stdout[watched.stdout.index("{") :]) == {"from": "stdin"}


def test_every_option_of_submit_reaches_the_job(on_server: Commands) -> None:
    options = [
        "--queue",
        "embedding_tasks",
        "--priority",
        "high",
        "--delay",
        "60",
        "--ttl",
        "90",
        "--timeout",
        "5",
        "--retries",
        "0",
    ]
    more = ["--tag", "a", "--tag", "b", "--idempotency-key", "k1", "--use-cache", "--tenant", "acme"]

    first = on_server("submit", "noop", *options, *more, "--json")
    second = on_server("submit", "noop", *options, *more, "--json")

    assert first.returncode == 0, first.stderr
    job = json.loads(first.stdout)
    assert json.loads(second.stdout)["job_id"] == job["job_id"]
    assert (job["queue"], job["priority"], job["status"]) == ("embedding_tasks", "high", "scheduled")
    assert job["tags"] == ["a", "b"]
    assert job["expires_at"] is not None
    assert job["context"]["tenant_id"] == "acme"
    assert on_server("jobs", "show", job["job_id"]).returncode == 1
    assert on_server("jobs", "show", job["job_id"], "--tenant", "acme").returncode == 0


def test_jobs_are_listed_by_filter_in_text_and_json(on_server: Commands) -> None:
    wanted = [on_server.submit("noop", "null", "--tag", "listed") for _ in range(3)]

    text = on_server("jobs", "list", "--tag", "listed").stdout
    found = json.loads(on_server("jobs", "list", "--tag", "listed", "--all", "--json").stdout)["jobs"]
    one = json.loads(on_server("jobs", "list", "--tag", "listed", "--limit", "1", "--json").stdout)["jobs"]

    assert [line.split()[0] for line in text.splitlines()] == wanted[::-1]
    assert [job["job_id"] for job in found] == wanted[::-1]
    assert [job["job_id"] for job in one] == [wanted[-1]]
    assert on_server("jobs", "list", "--tag", "nobody").stdout == ""


def test_a_waiting_job_is_cancelled_and_retried(on_server: Commands) -> None:
    job_id = on_server.submit("noop", "null", "--delay", "60")

    assert on_server("jobs", "cancel", job_id).stdout == f"{job_id} cancelled\n"
    watched = on_server("watch", job_id)
    assert (watched.returncode, watched.stderr) == (1, "encola: job cancelled: The job was cancelled.\n")
    assert on_server("jobs", "retry", job_id).stdout.split()[0] == job_id
    assert on_server("watch", job_id).returncode == 0
    assert on_server.job(job_id)["status"] == "completed"


def test_what_cannot_be_done_is_said_in_one_line(on_server: Commands) -> None:
    job_id = on_server.submit("noop")
    assert on_server("watch", job_id).returncode == 0

    for arguments in (
        ["jobs", "cancel", job_id],
        ["jobs", "retry", job_id],
        ["jobs", "show", "no-such-job"],
        ["watch", "no-such-job"],
        ["submit", "no-such-type"],
        ["submit", "greet", '{"nam": 1}'],
        ["jobs", "list", "--tenant", "not a tenant"],
    ):
        done = on_server(*arguments)
        assert done.returncode == 1, arguments
        assert done.stdout == ""
        assert done.stderr.startswith("encola: ")
        assert done.stderr.count("\n") == 1


def test_show_tells_a_person_the_result_and_the_error(on_server: Commands) -> None:
    job_id = on_server.submit("decline", '{"card": "4711"}')
    on_server("watch", job_id)

    shown = on_server("jobs", "show", job_id).stdout

    assert job_id in shown
    assert '"card": "4711"' in shown
    assert "The card was declined." in shown


def test_watching_from_beyond_the_end_still_tells_the_end(on_server: Commands) -> None:
    job_id = on_server.submit("echo", "7")
    on_server("watch", job_id)

    done = on_server("watch", job_id, "--since", "99")

    assert (done.returncode, done.stdout) == (0, "3 completed\n7\n")


def test_a_reader_who_leaves_is_no_crash(on_server: Commands) -> None:
    job_id = on_server.submit("steps", '{"steps": 300}')
    on_server("watch", job_id)

    script = f"{' '.join(COMMAND)} watch {job_id} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment(ENCOLA_URL=on_server.url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout == "1 queued\n"
    assert done.stderr == ""
    assert done.returncode in (0, 1)  # 0 when all of it fitted into the pipe


def test_ctrl_c_stops_the_watching_and_not_the_job(on_server: Commands) -> None:
    with running("submit", "slow", '{"seconds": 2}', "--watch", ENCOLA_URL=on_server.url) as watching:
        read_until(watching, "2 processing")
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=PATIENCE)

    assert watching.returncode == 130
    assert err.startswith("encola: stopped watching; the job goes on (`encola watch ")
    job_id = err.split("encola watch ")[1].split("`")[0]
    assert on_server("watch", job_id).returncode == 0


def test_a_terminal_gets_a_bar_and_no_colour_when_it_wants_none(on_server: Commands) -> None:
    colourful = in_terminal(on_server, TERM="xterm-256color")
    plain = in_terminal(on_server, TERM="xterm-256color", NO_COLOR="1")
    dumb = in_terminal(on_server, TERM="dumb")

    assert "\x1b[3" in colourful
    assert "\x1b[3" not in plain
    assert "━" in colourful
    assert "━" in plain
    assert "100%" in plain
    assert "\x1b" not in dumb
    assert "1 queued" in dumb


def in_terminal(commands: Commands, **variables: str) -> str:
    """Return what a terminal gets to see of a job with two steps."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "submit", "steps", '{"steps": 2, "pause": 0.1}', "--watch"],
        cwd=HERE,
        env=environment(ENCOLA_URL=commands.url, **variables),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:
        pass  # Linux says so that the other end is closed
    finally:
        os.close(ours)
        assert process.wait(PATIENCE) == 0
    return shown.decode()


def test_the_doctor_is_content_with_a_running_server(shared_server: DevServer) -> None:
    done = encola(
        "doctor",
        "--json",
        ENCOLA_PORT=str(shared_server.port),
        ENCOLA_DATA_DIR=str(shared_server.folder / "data"),
    )

    found = {row["name"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert str(shared_server.pid) in found["folder lock"]["message"]
    assert found["server"]["status"] == found["port"]["status"] == "ok"


def test_a_watch_survives_a_killed_server(dev_server: DevServer) -> None:
    with running("submit", "slow", '{"seconds": 1}', "--watch", ENCOLA_URL=dev_server.url) as watching:
        read_until(watching, "2 processing")
        dev_server.kill9()
        assert watching.stderr is not None
        assert "connection was lost" in watching.stderr.readline()
        dev_server.start()
        out, err = watching.communicate(timeout=60)

    assert watching.returncode == 0, err
    seqs = [int(line.split()[0]) for line in out.splitlines() if re.match(r"\d+ ", line)]
    assert seqs == list(range(3, 3 + len(seqs)))
    assert out.endswith('"done"\n')
    assert err == "encola: connected again\n"
