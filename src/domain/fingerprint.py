"""Canonical JSON by RFC 8785, and the one hash that says "the same work"."""

import hashlib
import json
from decimal import Decimal

from encola.domain.context import ExecutionContext
from encola.domain.json_value import JSON, check_json


def canonical_json(value: object) -> bytes:
    """Return the one spelling of ``value`` that RFC 8785 (JCS) prescribes, as UTF-8.

    :raises NotJson: the value is not I-JSON
    """
    return _spell(check_json(value)).encode()


def digest(value: object) -> str:
    """Return ``sha256:`` and the hash of the canonical JSON of ``value``."""
    return "sha256:" + hashlib.sha256(canonical_json(value)).hexdigest()


def fingerprint(job_type: str, params: JSON, context: ExecutionContext) -> str:
    """Name the work: equal exactly when tenant, type, context and params are equal as JSON.

    One array is hashed, so no two different fields can run into each other. The trace is left out:
    it differs with every request.
    """
    names = [context.agent_id, context.conversation_id, context.collection_id]
    # The depth check is for what users send; these two levels are ours.
    check_json(params)
    head = [1, context.tenant_id, job_type, names]
    body = ",".join([*(_spell(part) for part in head), _spell(params)])  # type: ignore[arg-type]
    return "sha256:" + hashlib.sha256(f"[{body}]".encode()).hexdigest()


# Made once, for json.dumps makes a new encoder whenever its options are not the default ones.
_spell_simple = json.JSONEncoder(ensure_ascii=False).encode


def _spell(value: JSON) -> str:
    if isinstance(value, float):
        return _spell_number(value)
    if isinstance(value, list):
        return "[" + ",".join(map(_spell, value)) + "]"
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{_spell(name)}:{_spell(value[name])}" for name in names) + "}"
    return _spell_simple(value)


def _spell_number(number: float) -> str:
    """Spell as ECMAScript's Number::toString does (ECMA-262, 6.1.6.1.20), which RFC 8785 takes over."""
    if number == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    assert isinstance(exponent, int)  # finite, by check_json
    text = "".join(map(str, digits))
    point = len(text) + exponent  # the value is 0.TEXT times ten to this power
    if 0 < point <= 21:
        spelt = text.ljust(point, "0") if exponent >= 0 else f"{text[:point]}.{text[point:]}"
    elif -6 < point <= 0:
        spelt = "0." + "0" * -point + text
    else:
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        spelt = f"{text[0]}{fraction}e{point - 1:+d}"
    return f"-{spelt}" if sign else spelt
