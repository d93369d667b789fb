"""``--app module:attribute``."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from encola.domain.errors import InvalidSettings
from encola.entrypoints.cli.loading import load_app
from encola.entrypoints.facade import Encola


@pytest.fixture(autouse=True)
def forget_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("shop_"):
            del sys.modules[name]


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text)


def test_an_instance_is_found_in_the_working_directory(clean_desk: Path) -> None:
    write(clean_desk, "shop_one", "from encola import Encola\napp = Encola()")

    assert isinstance(load_app("shop_one:app"), Encola)


def test_an_attribute_may_be_a_path(clean_desk: Path) -> None:
    write(clean_desk, "shop_two", "from encola import Encola\nclass Box:\n    app = Encola()")

    assert isinstance(load_app("shop_two:Box.app"), Encola)


@pytest.mark.parametrize(
    ("target", "text", "says"),
    [
        ("shop_bad", "", "not spelt module:attribute"),
        (":app", "", "not spelt module:attribute"),
        ("shop_bad:", "", "not spelt module:attribute"),
        ("shop_none:app", None, "there is no module 'shop_none'"),
        ("shop_none.jobs:app", None, "there is no module 'shop_none'"),
        ("shop_bad:nope", "", "has no attribute 'nope'"),
        ("shop_bad:app", "app = 1", "is not an Encola but a int"),
        ("shop_bad:app", "import shop_absent", "importing shop_bad failed with ModuleNotFoundError"),
        ("shop_bad:app", "1/0", "importing shop_bad failed with ZeroDivisionError"),
        ("shop_bad:app", "def", "importing shop_bad failed with SyntaxError"),
        (".shop_bad:app", "", "importing .shop_bad failed with TypeError"),
    ],
)
def test_what_is_wrong_is_said(target: str, text: str | None, says: str, clean_desk: Path) -> None:
    if text is not None:
        write(clean_desk, "shop_bad", text)

    with pytest.raises(InvalidSettings, match=says):
        load_app(target)
