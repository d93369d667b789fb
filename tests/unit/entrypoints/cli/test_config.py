"""The settings as they are shown."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from encola.entrypoints.cli.config import masked
from encola.entrypoints.settings import Settings


def shown(encola: Callable) -> dict[str, Any]:
    rows = json.loads(encola("config", "show", "--json").out)
    return {row["variable"]: row for row in rows}


def test_every_setting_is_shown_under_its_variable(encola: Callable) -> None:
    assert set(shown(encola)) == {f"ENCOLA_{name}".upper() for name in Settings.model_fields}


def test_what_was_set_is_told_apart_from_defaults(encola: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCOLA_PORT", "9000")

    rows = shown(encola)

    assert (rows["ENCOLA_PORT"]["value"], rows["ENCOLA_PORT"]["is_set"]) == (9000, True)
    assert rows["ENCOLA_HOST"]["is_set"] is False


def test_the_dotenv_file_counts(encola: Callable, clean_desk: Path) -> None:
    (clean_desk / ".env").write_text("ENCOLA_PORT=9001\n")

    assert shown(encola)["ENCOLA_PORT"]["value"] == 9001


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_secrets_are_masked(flags: list[str], encola: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCOLA_LLM_API_KEY", "sk-hunter2")
    monkeypatch.setenv("ENCOLA_REDIS_URL", "redis://:hunter2@db:6379/0")
    monkeypatch.setenv("ENCOLA_AMQP_URL", "amqp://me:hunter2@mq/")
    monkeypatch.setenv("ENCOLA_LLM_URL", "http://me:hunter2@llm/v1?key=hunter2")
    monkeypatch.setenv("ENCOLA_SERVICES__QUERY", "https://hunter2@query.example/base")
    monkeypatch.setenv("ENCOLA_SERVICES__AGENT", "https://me:hunter2/2@agent.example/base")

    out = encola("config", "show", *flags).out

    assert "hunter2" not in out
    assert "ENCOLA_SERVICES__QUERY" in out
    assert "query.example/base" in out


def test_lines_can_be_read_as_assignments(encola: Callable) -> None:
    lines = encola("config", "show").out.splitlines()

    assert any(line.startswith("ENCOLA_PORT=8000 ") and line.endswith("(default)") for line in lines)


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://me:pw@host/x", "http://***@host/x"),
        ("http://token@[::1]:80/x", "http://***@[::1]:80/x"),
        ("http://host/x?key=pw", "http://host/x?***"),
        ("http://[broken", "***"),
        ("plain text", "plain text"),
    ],
)
def test_urls_lose_what_is_before_the_host_and_the_query(url: str, seen: str) -> None:
    assert masked(url) == seen
