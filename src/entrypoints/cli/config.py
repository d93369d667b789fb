"""``encola config``: the settings as they are."""

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import typer

from encola.entrypoints.cli.options import AsJson
from encola.entrypoints.cli.terminal import say_json, say_table

if TYPE_CHECKING:
    from encola.entrypoints.settings import Settings

MASK = "***"
PREFIX = "ENCOLA_"

app = typer.Typer(help="Look at the settings.", rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Keep `show` a command of its own."""


@app.command()
def show(as_json: AsJson = False) -> None:
    """Print every setting, the variable that sets it, and its value; secrets are masked."""
    from encola.entrypoints.settings import load_settings

    rows = describe(load_settings())
    if as_json:
        say_json(rows)
    else:
        say_table((f"{row['variable']}={_spelt(row['value'])}", _remark(row)) for row in rows)


def describe(settings: "Settings") -> list[dict[str, Any]]:
    """Return each setting with its variable, its value fit to be seen, and whether it was set."""
    rows: list[dict[str, Any]] = []
    for name, field in type(settings).model_fields.items():
        value, is_set = getattr(settings, name), name in settings.model_fields_set
        about = {"is_set": is_set, "description": field.description or ""}
        if isinstance(value, dict) and value:
            entries = {f"{name}__{key}": entry for key, entry in value.items()}
        else:
            entries = {name: value}
        rows += [
            {"variable": f"{PREFIX}{key}".upper(), "value": masked(entry), **about}
            for key, entry in entries.items()
        ]
    return rows


def masked(value: Any) -> Any:
    """Return a value as JSON, without what must stay secret.

    In a URL that is whatever stands before the host, and the query.
    """
    from pydantic import SecretStr

    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, tuple):
        return [masked(entry) for entry in value]
    if value is None or isinstance(value, bool | int | float | dict):
        return value
    return _masked_url(str(value)) if "://" in str(value) else str(value)


def _masked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    if "@" in parts.path + parts.query + parts.fragment:
        return MASK  # a password with a slash that nobody escaped looks like a host and a path
    credentials, at, host = parts.netloc.rpartition("@")
    netloc = f"{MASK}@{host}" if at and credentials else parts.netloc
    return urlunsplit(parts._replace(netloc=netloc, query=MASK if parts.query else ""))


def _spelt(value: Any) -> str:
    if value is None or value == {}:
        return ""
    return str(value) if isinstance(value, str) else json.dumps(value)


def _remark(row: dict[str, Any]) -> str:
    return f"{row['description']}{'' if row['is_set'] else ' (default)'}"
