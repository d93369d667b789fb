"""What JSON can hold: the type, and the check at the door.

The rules are those of I-JSON (RFC 7493), on which RFC 8785 stands: string keys, finite numbers,
integers within ±(2**53 - 1), no lone surrogates.
"""

from typing import TypeAlias

from encola.domain.errors import NotJson

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 32


def check_json(value: object, *, max_depth: int = MAX_DEPTH) -> JSON:
    """Return ``value`` as it is when every JSON reader would read back the same.

    :raises NotJson: it holds something else; the message names the place by JSON Pointer (RFC 6901)
    """
    _check(value, "", max_depth)
    return value  # type: ignore[return-value]


def _check(value: object, where: str, depth_left: int) -> None:
    kind = type(value)
    if value is None or kind is bool:
        return
    if kind is str:
        _check_text(value, where)  # type: ignore[arg-type]
    elif kind is int:
        if abs(value) > MAX_SAFE_INTEGER:  # type: ignore[arg-type]
            raise NotJson("is an integer beyond ±(2**53 - 1); send it as a string", where)
    elif kind is float:
        if value != value or value in (float("inf"), float("-inf")):
            raise NotJson("is not a finite number", where)
    elif kind is list or kind is dict:
        _check_members(value, where, depth_left)  # type: ignore[arg-type]
    else:
        raise NotJson(f"is a {kind.__name__}, which JSON cannot hold", where)


def _check_members(value: list[object] | dict[object, object], where: str, depth_left: int) -> None:
    if depth_left == 0:
        raise NotJson(f"is nested deeper than {MAX_DEPTH} levels", where)
    if isinstance(value, list):
        for index, member in enumerate(value):
            _check(member, f"{where}/{index}", depth_left - 1)
        return
    for key, member in value.items():
        if type(key) is not str:
            raise NotJson(f"has a key that is a {type(key).__name__}; JSON keys are strings", where)
        _check_text(key, where)
        _check(member, f"{where}/{_pointer(key)}", depth_left - 1)


def _check_text(text: str, where: str) -> None:
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise NotJson("holds half of a surrogate pair, which is not Unicode text", where)


def _pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
