"""The shape of the code is the one that the documents draw."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import encola
import encola.application.ports
import encola.testing.contracts
from encola.domain.errors import EncolaError
from encola.entrypoints.api.problems import STATUS_OF

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
LONGEST_FILE = 400
NAMES_THAT_SAY_NOTHING = {
    "utils",
    "util",
    "helpers",
    "helper",
    "manager",
    "managers",
    "common",
    "misc",
    "base",
}

PUBLIC = [
    "Encola",
    "EncolaError",
    "ExecutionContext",
    "Job",
    "JobContext",
    "JobEvent",
    "JobFailed",
    "JobStatus",
    "__version__",
]


def test_imports_keep_to_the_layers() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    outcome = subprocess.run(
        [lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )

    assert outcome.returncode == 0, outcome.stdout


def test_every_error_has_a_status_and_a_code_of_its_own() -> None:
    classes = list(tree(EncolaError))
    codes = [error.code for error in classes]

    assert set(STATUS_OF) == set(classes)
    assert len(set(codes)) == len(codes)


def test_every_error_stands_in_the_drawing() -> None:
    drawing = sys.modules[EncolaError.__module__].__doc__ or ""

    assert [error.__name__ for error in tree(EncolaError) if error.__name__ not in drawing] == []


def test_the_public_names_are_these() -> None:
    assert encola.__all__ == PUBLIC
    assert [name for name in PUBLIC if not hasattr(encola, name)] == []


@pytest.mark.parametrize("module", [encola.application.ports, encola.testing.contracts])
def test_what_a_module_exports_is_there(module: object) -> None:
    assert [name for name in module.__all__ if not hasattr(module, name)] == []  # type: ignore[attr-defined]


def test_every_port_has_a_contract() -> None:
    ports = {name for name in encola.application.ports.__all__ if is_port(name)}
    contracts = {name.removesuffix("Contract") for name in encola.testing.contracts.__all__}

    assert ports - contracts - {"CallTrace", "JobDeliveries", "Subscription"} == set()


def test_no_file_is_too_long() -> None:
    files = (file for kind in ("py", "js", "css", "html") for file in SRC.rglob(f"*.{kind}"))

    assert [file.name for file in files if len(file.read_text().splitlines()) > LONGEST_FILE] == []


def test_every_file_has_a_name_that_says_something() -> None:
    assert [file for file in SRC.rglob("*.py") if NAMES_THAT_SAY_NOTHING & set(file.stem.split("_"))] == []


def is_port(name: str) -> bool:
    """Tell whether an exported name is a protocol."""
    return bool(getattr(getattr(encola.application.ports, name), "_is_protocol", False))


def tree(error: type[EncolaError]) -> Iterator[type[EncolaError]]:
    """Yield an error class and all that the package derives from it."""
    yield error
    for below in error.__subclasses__():
        if below.__module__.startswith("encola."):
            yield from tree(below)
