"""What is installed, and what it costs to import."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
NOT_CORE = {"fastapi", "starlette", "celery", "redis", "sqlalchemy", "httpx", "pydantic", "typer", "uvicorn"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the names in a wheel that was built from a copy, as from a fresh clone."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "clone"
    left_out = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "tests")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=left_out)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder]
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", *options, copy]
    subprocess.run(command, check=True, timeout=100)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        return archive.namelist()


def test_every_package_in_src_is_listed() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = (file.parent.relative_to(SRC) for file in SRC.rglob("__init__.py"))

    found = sorted(".".join(("encola", *folder.parts)) for folder in folders)

    assert pyproject["tool"]["setuptools"]["packages"] == found


def test_every_folder_with_code_is_a_package() -> None:
    without = {file.parent for file in SRC.rglob("*.py") if not (file.parent / "__init__.py").exists()}

    assert without == set()


def test_the_wheel_takes_exactly_one_name(wheel: list[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"encola"}


def test_the_wheel_holds_every_module(wheel: list[str]) -> None:
    modules = {f"encola/{file.relative_to(SRC).as_posix()}" for file in SRC.rglob("*.py")}

    assert modules - set(wheel) == set()


def test_the_wheel_holds_types_page_and_documents(wheel: list[str]) -> None:
    pages = {
        f"encola/entrypoints/pages/{file.name}"
        for file in (SRC / "entrypoints/pages").iterdir()
        if file.suffix in {".html", ".css", ".js", ".svg"}
    }
    documents = {
        f"encola/entrypoints/demo/docs/{file.relative_to(ROOT / 'docs').as_posix()}"
        for file in (ROOT / "docs").rglob("*.md")
    }

    assert "encola/py.typed" in wheel
    assert pages - set(wheel) == set()
    assert documents - set(wheel) == set()
    assert pages
    assert documents


def test_the_link_in_the_root_is_the_package() -> None:
    assert (ROOT / "encola").is_symlink()
    assert (ROOT / "encola").resolve() == SRC


def test_importing_encola_loads_no_framework() -> None:
    program = "import sys, encola; from encola import Encola, JobContext; print(*sys.modules)"

    loaded = set(run(program).split())

    assert "encola.entrypoints.facade" in loaded
    assert loaded & NOT_CORE == set()


def test_the_package_refuses_to_be_imported_as_src() -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", "import src"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert outcome.returncode == 1
    assert "import encola, not src" in outcome.stderr


def test_the_locks_pin_and_hash_everything_and_name_no_host() -> None:
    for lock in (ROOT / "requirements").glob("*.lock"):
        text = lock.read_text()
        requirements = [line for line in text.splitlines() if not line.startswith("    ")]
        assert all("==" in line for line in requirements), lock
        assert text.count("--hash=sha256:") >= len(requirements), lock
        assert "://" not in text, lock
        assert "--index" not in text, lock


def test_the_development_lock_holds_all_that_running_needs() -> None:
    assert pins("run.lock") <= pins("dev.lock")


def pins(lock: str) -> set[str]:
    """Return the requirements of a lock without their hashes."""
    lines = (ROOT / "requirements" / lock).read_text().splitlines()
    return {line.removesuffix(" \\") for line in lines if not line.startswith("    ")}


def run(program: str) -> str:
    """Return what a program prints in an interpreter of its own."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
