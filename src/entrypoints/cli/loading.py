"""Finding the user's ``Encola`` by ``module:attribute``."""

import importlib
import importlib.util
import os
import sys
from functools import reduce
from types import ModuleType
from typing import TYPE_CHECKING

from encola.domain.errors import InvalidSettings

if TYPE_CHECKING:
    from encola.entrypoints.facade import Encola


def load_app(target: str) -> "Encola":
    """Return the instance that ``target`` names; modules are looked for in the working directory first.

    :raises InvalidSettings: there is no such module or attribute, it is not an Encola, or importing
        it failed
    """
    from encola.entrypoints.facade import Encola

    name, colon, attribute = target.partition(":")
    if not (name and colon and attribute):
        raise InvalidSettings(f"The app {target!r} is not spelt module:attribute, as in `shop.jobs:app`.")
    module = _import(target, name)
    try:
        found = reduce(getattr, attribute.split("."), module)
    except AttributeError:
        raise InvalidSettings(
            f"The app {target}: the module {name} has no attribute {attribute!r}."
        ) from None
    if not isinstance(found, Encola):
        raise InvalidSettings(f"The app {target} is not an Encola but a {type(found).__name__}.")
    return found


def _import(target: str, name: str) -> ModuleType:
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            message = (
                f"The app {target}: there is no module {error.name!r} in {folder} or on the Python path."
            )
            raise InvalidSettings(message) from None
        raise _failed(target, name, error) from error
    except Exception as error:
        raise _failed(target, name, error) from error


def _failed(target: str, name: str, error: Exception) -> InvalidSettings:
    return InvalidSettings(f"The app {target}: importing {name} failed with {type(error).__name__}: {error}")
