"""Every Python example in the documents runs, and prints what the page says."""

import ast
import asyncio
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from documents import Block, blocks_of, name_of, pages_with

from encola import Encola

PRINTS = "prints:"


@pytest.mark.parametrize("page", pages_with("python"), ids=name_of)
def test_the_examples_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(monkeypatch, tmp_path)
    names: dict[str, Any] = {"__name__": "__example__"}
    said = ""
    with asyncio.Runner() as runner:
        for block in blocks_of(page, "python", "text"):
            if block.language == "python":
                run(block, page, names, runner, tmp_path)
                said = capsys.readouterr().out
            elif block.lead.endswith(PRINTS):
                assert said == block.text
        for app in apps_in(names):
            runner.run(app.runtime.stop())


def prepare(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Give examples a folder of their own, and settings that nobody else made."""
    for name in list(os.environ):
        if name.startswith("ENCOLA_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ENCOLA_PROFILE", "memory")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)


def run(block: Block, page: Path, names: dict[str, Any], runner: asyncio.Runner, folder: Path) -> None:
    """Run one example after those above it; one that begins with a file's name is that file too."""
    first = block.text.partition("\n")[0]
    if first.startswith("# test_"):
        (folder / first[2:]).write_text(block.text)
        run_tests(folder / first[2:])
        return
    if first.startswith("# ") and first.endswith(".py"):
        (folder / first[2:]).write_text(block.text)
    source = "\n" * block.line + block.text
    code = compile(source, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    outcome = eval(code, names)
    if inspect.iscoroutine(outcome):
        runner.run(outcome)


def run_tests(file: Path) -> None:
    """Run an example that is a module of tests, as a user would."""
    options = [
        "-q",
        "-c",
        os.devnull,
        "--rootdir",
        file.parent,
        "-o",
        "anyio_mode=auto",
        "-p",
        "no:cacheprovider",
    ]
    command = [sys.executable, "-m", "pytest", *options, file]
    outcome = subprocess.run(
        command, capture_output=True, text=True, cwd=file.parent, timeout=60, check=False
    )

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def apps_in(names: dict[str, Any]) -> list[Encola]:
    """Return the applications that the examples left behind."""
    return [value for value in names.values() if isinstance(value, Encola)]
