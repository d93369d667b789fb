"""What the doctor finds, on real folders, ports and services."""

import fcntl
import json
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest


class Patient(BaseHTTPRequestHandler):
    """Answers as its server was told to."""

    server: "PatientServer"

    def do_GET(self) -> None:
        self.send_response_only(self.server.status)
        if self.server.date is not None:
            self.send_header("Date", self.server.date)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        return None


class PatientServer(HTTPServer):
    status = 200
    date: str | None = None


@pytest.fixture
def patient() -> Iterator[PatientServer]:
    with PatientServer(("127.0.0.1", 0), Patient) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ENCOLA_PORT", str(probe.getsockname()[1]))


def url_of(server: PatientServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def findings(encola: Callable, *arguments: str) -> dict[str, Any]:
    outcome = encola("doctor", "--json", *arguments)
    rows = {row["name"]: row for row in json.loads(outcome.out)}
    assert outcome.code == (1 if any(row["status"] == "fail" for row in rows.values()) else 0)
    return rows


def test_a_healthy_machine_passes_and_nothing_is_left_behind(encola: Callable, clean_desk: Path) -> None:
    outcome = encola("doctor")

    assert outcome.code == 0
    assert all(line.startswith(("ok  ", "warn")) for line in outcome.out.splitlines())
    assert list(clean_desk.iterdir()) == []


def test_a_bad_setting_is_the_only_finding(encola: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCOLA_PORT", "many")

    rows = findings(encola)

    assert list(rows) == ["settings"]
    assert rows["settings"]["status"] == "fail"
    assert "ENCOLA_PORT" in rows["settings"]["message"]


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("ENCOLA_PROFILE", "distributed", "profile"),
        ("ENCOLA_HOST", "0.0.0.0", "front door"),
        ("ENCOLA_AUTH", "keys", "front door"),
        ("ENCOLA_DATA_DIR", "/dev/null/data", "data folder"),
        ("ENCOLA_HOST", "nowhere.invalid", "port"),
    ],
)
def test_a_failure_names_its_fix(
    variable: str, value: str, name: str, encola: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    row = findings(encola)[name]

    assert row["status"] == "fail"
    assert row["fix"]


def test_a_port_that_another_program_has_is_a_failure(
    encola: Callable, patient: PatientServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient.status = 404
    monkeypatch.setenv("ENCOLA_PORT", str(patient.server_port))

    rows = findings(encola)

    assert rows["port"]["status"] == "fail"
    assert rows["server"]["status"] == "fail"


def test_a_folder_that_another_process_holds_is_a_warning(encola: Callable, clean_desk: Path) -> None:
    folder = clean_desk / ".encola"
    folder.mkdir()
    with (folder / "encola.lock").open("w") as lock:
        lock.write("4711")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)

        row = findings(encola)["folder lock"]

    assert row["status"] == "warn"
    assert "4711" in row["message"]
    assert findings(encola)["folder lock"]["status"] == "ok"


@pytest.mark.parametrize(("status", "verdict"), [(200, "ok"), (404, "warn"), (500, "fail")])
def test_a_service_is_as_well_as_its_health(
    status: int, verdict: str, encola: Callable, patient: PatientServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient.status = status
    monkeypatch.setenv("ENCOLA_SERVICES__QUERY", url_of(patient))

    assert findings(encola)["service query"]["status"] == verdict


def test_a_service_that_does_not_answer_is_a_failure_that_names_its_variable(
    encola: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCOLA_SERVICES__AGENT", "http://me:hunter2@127.0.0.1:1")

    row = findings(encola)["service agent"]

    assert row["status"] == "fail"
    assert "ENCOLA_SERVICES__AGENT" in row["fix"]
    assert "hunter2" not in str(row)


def test_a_server_s_clock_is_compared_with_ours(encola: Callable, patient: PatientServer) -> None:
    patient.date = "Wed, 01 Jan 2020 00:00:00 GMT"

    row = findings(encola, "--url", url_of(patient))["server"]

    assert row["status"] == "warn"
    assert "clock" in row["message"]
