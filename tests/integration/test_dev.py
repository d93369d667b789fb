"""``encola dev`` as a real process: how it starts, refuses to start, and ends."""

import json
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import PATIENCE, encola, read_until, running
from processes import DevServer, free_port


def test_dev_says_once_that_it_is_ready_and_ends_well_on_sigterm(tmp_path: Path) -> None:
    variables = {"ENCOLA_PORT": "0", "ENCOLA_DATA_DIR": str(tmp_path), "ENCOLA_APP": "jobs_app:app"}
    with running("dev", **variables) as server:
        assert server.stdout is not None
        said = server.stdout.readline()
        url = said.removeprefix("Encola is ready: ").strip()
        assert encola("submit", "query", '{"query": "jobs"}', "--watch", ENCOLA_URL=url).returncode == 0
        begun = time.monotonic()
        server.send_signal(signal.SIGTERM)
        out, err = server.communicate(timeout=PATIENCE)

    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
    assert server.returncode == 0, err
    assert time.monotonic() - begun < 5
    assert "ready" not in out
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_open_streams_and_lets_running_jobs_drain(number: signal.Signals, tmp_path: Path) -> None:
    variables = {"ENCOLA_PORT": "0", "ENCOLA_DATA_DIR": str(tmp_path), "ENCOLA_DRAIN_SECONDS": "20"}
    with running("dev", "--app", "jobs_app:app", "--json", **variables) as server:
        assert server.stdout is not None
        ready = json.loads(server.stdout.readline())
        job = ["submit", "slow", '{"seconds": 2}', "--watch"]
        with running(*job, ENCOLA_URL=ready["url"]) as watching:
            read_until(watching, "2 processing")
            server.send_signal(number)
            _, err = server.communicate(timeout=PATIENCE)
            assert watching.stderr is not None
            assert "connection was lost" in watching.stderr.readline()

    assert server.returncode == 0, err
    assert ready["pid"] == server.pid
    assert ready["data_dir"] == str(tmp_path)
    assert ready["demo"].startswith("http://127.0.0.1:")
    with running("dev", "--app", "jobs_app:app", "--json", **variables) as server:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        [job_shown] = json.loads(encola("jobs", "list", "--json", ENCOLA_URL=url).stdout)["jobs"]
    assert (job_shown["status"], job_shown["attempt"]) == ("completed", 1)


def test_dev_asks_the_user_s_own_services_where_there_are_any(tmp_path: Path) -> None:
    services = {
        f"ENCOLA_SERVICES__{name}": "http://127.0.0.1:1"
        for name in ("AGENT", "QUERY", "EMBEDDING", "HISTORY", "METRICS")
    }
    with running("dev", "--json", ENCOLA_PORT="0", ENCOLA_DATA_DIR=str(tmp_path), **services) as server:
        assert server.stdout is not None
        ready = json.loads(server.stdout.readline())

    assert ready["demo"] is None
    assert not (tmp_path / "demo.db").exists()


def test_the_memory_profile_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    variables = {"ENCOLA_PROFILE": "memory", "ENCOLA_PORT": "0", "ENCOLA_DATA_DIR": str(folder)}
    with running("dev", "--json", **variables, TMPDIR=str(tmp_path)) as server:
        assert server.stdout is not None
        ready = json.loads(server.stdout.readline())
        asked = encola("submit", "query", '{"query": "jobs"}', "--watch", ENCOLA_URL=ready["url"])
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=PATIENCE)

    assert asked.returncode == 0, asked.stderr
    assert ready["data_dir"] is None
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def refused_dev(tmp_path: Path) -> Callable[..., str]:
    """Return a function that starts ``encola dev`` in vain, and returns its one line."""

    def start(*arguments: str, **variables: str) -> str:
        given = {"ENCOLA_PORT": str(free_port()), "ENCOLA_DATA_DIR": str(tmp_path / "data"), **variables}
        done = encola("dev", *arguments, **given)
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    return start


def test_a_taken_port_is_said(refused_dev: Callable[..., str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused_dev(ENCOLA_PORT=str(port))

    assert said == f"encola: Port {port} on 127.0.0.1 is taken; set ENCOLA_PORT to another.\n"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("place", ["/dev/null/data", "a-file", "a-file/below"])
def test_a_data_folder_that_cannot_be_written_is_said(
    place: str, refused_dev: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "a-file").write_text("")

    said = refused_dev(ENCOLA_DATA_DIR=str(tmp_path / place))

    assert "cannot be written" in said
    assert "ENCOLA_DATA_DIR" in said


def test_a_second_process_on_one_data_folder_is_refused(
    refused_dev: Callable[..., str], shared_server: DevServer
) -> None:
    said = refused_dev(ENCOLA_DATA_DIR=str(shared_server.folder / "data"))

    assert f"in use by another Encola (process {shared_server.pid})" in said
    assert encola("jobs", "list", ENCOLA_URL=shared_server.url).returncode == 0


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"ENCOLA_HOST": "0.0.0.0"}, "ENCOLA_HOST=0.0.0.0 is open to others"),
        ({"ENCOLA_HOST": "::"}, "ENCOLA_HOST=:: is open to others"),
        ({"ENCOLA_AUTH": "keys"}, "ENCOLA_AUTH=keys is not available"),
        ({"ENCOLA_PROFILE": "distributed"}, "ENCOLA_PROFILE=distributed needs ENCOLA_REDIS_URL"),
        ({"ENCOLA_PORT": "99999"}, "ENCOLA_PORT: "),
        ({"ENCOLA_APP": "nowhere:app"}, "there is no module 'nowhere'"),
        ({"ENCOLA_APP": "jobs_app:nothing"}, "has no attribute 'nothing'"),
    ],
)
def test_settings_that_cannot_work_are_named(
    variables: dict[str, str], says: str, refused_dev: Callable[..., str]
) -> None:
    assert says in refused_dev(**variables)


def test_a_refusal_is_json_for_programs(refused_dev: Callable[..., str]) -> None:
    error = json.loads(refused_dev("--json", ENCOLA_HOST="0.0.0.0"))["error"]

    assert error["code"] == "invalid_settings"
    assert "ENCOLA_HOST" in error["message"]
