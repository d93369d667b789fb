"""Usage, errors and exit codes."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from encola import __version__
from encola.entrypoints.cli import jobs
from encola.entrypoints.cli.main import app, main

NOBODY = "http://127.0.0.1:1"


def test_the_version_is_told(encola: Callable) -> None:
    assert encola("--version").out == f"encola {__version__}\n"


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(app, ["--help"])

    assert shown.exit_code == 0
    for name in ("dev", "api", "worker", "submit", "watch", "jobs", "doctor", "config"):
        assert f"\n  {name} " in shown.output


def test_no_command_at_all_shows_the_help(encola: Callable) -> None:
    outcome = encola()

    assert outcome.code == 0
    assert "Commands:" in outcome.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["frob"],
        ["jobs"],
        ["jobs", "frob"],
        ["submit"],
        ["submit", "query", "{}", "--frob"],
        ["submit", "query", "{}", "--delay", "soon"],
        ["submit", "query", "{}", "--priority", "urgent"],
        ["submit", "query", "{bad"],
        ["submit", "query", "NaN"],
        ["submit", "query", "[" * 100_000],
        ["jobs", "list", "--status", "done"],
        ["jobs", "list", "--limit", "0"],
        ["watch", "x", "--since", "-1"],
        ["jobs", "list", "--url", "not a url"],
        ["jobs", "list", "--url", "ftp://example.com"],
    ],
)
def test_wrong_usage_is_one_line_and_code_2(arguments: list[str], encola: Callable) -> None:
    outcome = encola(*arguments)

    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("encola: ")
    assert outcome.err.count("\n") == 1


def test_wrong_usage_is_json_when_json_is_asked_for(encola: Callable) -> None:
    outcome = encola("jobs", "list", "--frob", "--json")

    assert outcome.code == 2
    error = json.loads(outcome.err)["error"]
    assert error["code"] == "usage"
    assert "--frob" in error["message"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit", "query", "{}"],
        ["watch", "some-id"],
        ["jobs", "list"],
        ["jobs", "show", "some-id"],
        ["jobs", "cancel", "some-id"],
        ["jobs", "retry", "some-id"],
    ],
)
def test_without_a_server_it_says_how_to_start_one(arguments: list[str], encola: Callable) -> None:
    outcome = encola("--url", NOBODY, *arguments)

    assert outcome.code == 1
    assert outcome.err == f"encola: No server answers at {NOBODY}; start one with `encola dev`.\n"


def test_json_and_url_may_stand_after_the_command_too(encola: Callable) -> None:
    before = encola("--json", "--url", NOBODY, "jobs", "list")
    after = encola("jobs", "list", "--url", NOBODY, "--json")

    assert before == after
    assert json.loads(after.err)["error"]["code"] == "no_server"


def test_the_url_comes_from_the_environment(encola: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCOLA_URL", "http://127.0.0.1:2")

    assert "http://127.0.0.1:2;" in encola("jobs", "list").err


def test_without_a_url_it_is_where_dev_would_listen(
    encola: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCOLA_PORT", "3")

    assert "http://127.0.0.1:3;" in encola("jobs", "list").err


def test_any_free_port_is_no_address(encola: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCOLA_PORT", "0")

    assert "--url" in encola("jobs", "list").err


def test_a_password_in_the_url_is_not_repeated(encola: Callable) -> None:
    outcome = encola("--url", "http://me:hunter2@127.0.0.1:1", "jobs", "list")

    assert "hunter2" not in outcome.err


def test_a_setting_that_cannot_be_used_is_named(encola: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCOLA_PORT", "many")

    outcome = encola("jobs", "list")

    assert outcome.code == 1
    assert outcome.err.startswith("encola: ENCOLA_PORT: ")


def test_ctrl_c_is_130(encola: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "read_params", interrupt)

    outcome = encola("submit", "query", "{}")

    assert outcome.code == 130
    assert outcome.err == "encola: interrupted\n"


@pytest.mark.parametrize("kind", ["api", "worker"])
def test_the_distributed_processes_say_what_they_need(kind: str, encola: Callable) -> None:
    outcome = encola(kind)

    assert outcome.code == 1
    assert "needs ENCOLA_PROFILE=distributed; `encola dev` runs everything" in outcome.err


@pytest.mark.parametrize("kind", ["api", "worker"])
def test_the_distributed_profile_says_which_url_is_missing(
    kind: str, encola: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCOLA_PROFILE", "distributed")

    outcome = encola(kind)

    assert outcome.code == 1
    assert "needs ENCOLA_REDIS_URL" in outcome.err


def test_params_come_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO('{"query": "leases"}'))

    assert jobs.read_params("-") == {"query": "leases"}


def test_the_command_line_itself_loads_nothing_heavy() -> None:
    heavy = ("httpx", "fastapi", "pydantic_settings", "sqlalchemy", "uvicorn", "dependency_injector")
    script = (
        f"import sys, encola.entrypoints.cli.main\nprint([name for name in {heavy!r} if name in sys.modules])"
    )

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"


def test_main_can_be_called_again(encola: Callable) -> None:
    assert main(["--version"]) == main(["--version"]) == 0
