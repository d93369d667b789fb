"""The fingerprint says "the same work", and nothing else does; the rfc8785 package is the oracle."""

import os
import random
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from encola.domain.context import ExecutionContext, TenantId
from encola.domain.errors import InvalidContext, NotJson
from encola.domain.fingerprint import canonical_json, digest, fingerprint
from encola.domain.json_value import JSON, MAX_DEPTH, MAX_SAFE_INTEGER, check_json
from encola.testing.builders import ACME, GLOBEX
from encola.testing.strategies import contexts, json_values, tenants, traceparents

HERE = ExecutionContext(tenant_id=ACME)

# Few leaves that are easily taken for each other, so that equal values and near misses both come up.
LOOKALIKES = st.recursive(
    st.sampled_from(
        [None, False, True, 0, -0.0, 1, 1.0, "", "0", "1", "1.0", "true", "null", "a", "a,b", '"']
    ),
    lambda members: (
        st.lists(members, max_size=3)
        | st.dictionaries(st.sampled_from(["", "1", "a", "b"]), members, max_size=3)
    ),
    max_leaves=4,
)
NAMES = st.none() | st.sampled_from(["a", "b", "a:b", "null"])
WORKS = st.tuples(
    st.sampled_from(["a", "b", "a:b", 'a","b']),
    LOOKALIKES,
    st.builds(
        ExecutionContext,
        tenant_id=st.sampled_from([TenantId("a"), TenantId("b"), TenantId("null")]),
        agent_id=NAMES,
        conversation_id=NAMES,
        collection_id=NAMES,
    ),
)


def shuffled(value: Any, chance: random.Random) -> Any:
    """Return the same JSON with the members of every object in another order."""
    if isinstance(value, list):
        return [shuffled(member, chance) for member in value]
    if isinstance(value, dict):
        names = chance.sample(list(value), len(value))
        return {name: shuffled(value[name], chance) for name in names}
    return value


def nested(levels: int) -> JSON:
    value: JSON = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@given(json_values(), st.randoms(use_true_random=False))
def test_the_order_of_members_does_not_matter(value: JSON, chance: random.Random) -> None:
    again = shuffled(value, chance)

    assert canonical_json(again) == canonical_json(value)
    assert fingerprint("t", again, HERE) == fingerprint("t", value, HERE)


@given(json_values(max_leaves=30))
def test_canonical_json_is_what_rfc_8785_says(value: JSON) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(5e-324)
@example(1e21)
@example(1e-6)
@example(1e-7)
@example(123456789012345680000.0)
@example(1.7976931348623157e308)
@example(-0.0)
@example(0.1 + 0.2)
def test_floats_are_spelt_as_ecmascript_spells_them(number: float) -> None:
    assert canonical_json(number) == rfc8785.dumps(number)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.none()))
@example({"\ufb33": None, "\U0001f600": None, "\u20ac": None, "\r": None, "1": None, "\u0080": None})
def test_members_are_sorted_by_utf_16_code_units(value: dict[str, JSON]) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@given(WORKS, WORKS)
def test_two_works_share_a_fingerprint_only_when_they_are_the_same(
    one: tuple[str, JSON, ExecutionContext], other: tuple[str, JSON, ExecutionContext]
) -> None:
    same = (one[0], one[2]) == (other[0], other[2]) and rfc8785.dumps(one[1]) == rfc8785.dumps(other[1])  # type: ignore[arg-type]

    assert (fingerprint(*one) == fingerprint(*other)) is same


@given(LOOKALIKES, LOOKALIKES)
def test_canonical_json_is_injective(one: JSON, other: JSON) -> None:
    same = rfc8785.dumps(one) == rfc8785.dumps(other)  # type: ignore[arg-type]

    assert (canonical_json(one) == canonical_json(other)) is same
    assert (digest(one) == digest(other)) is same


@given(tenants(), tenants(), json_values())
def test_tenants_never_share_a_fingerprint(one: TenantId, other: TenantId, params: JSON) -> None:
    prints = {fingerprint("t", params, ExecutionContext(tenant_id=tenant)) for tenant in (one, other)}

    assert len(prints) == len({one, other})


@given(contexts(), traceparents())
def test_the_trace_is_left_out(context: ExecutionContext, trace: str) -> None:
    named = {"traceparent": trace, "tracestate": "x=1", "baggage": "a=b", "request_id": "another"}
    traced = ExecutionContext.from_mapping({**context.as_mapping(), **named})

    assert fingerprint("t", {}, traced) == fingerprint("t", {}, context)


def test_one_is_one_point_zero_and_neither_text_nor_truth() -> None:
    whole, point, text, truth = (fingerprint("t", value, HERE) for value in (1, 1.0, "1", True))

    assert whole == point
    assert len({whole, text, truth}) == 3


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_a_fingerprint_is_the_same_in_every_process(seed: str) -> None:
    program = (
        "from encola.domain.context import ExecutionContext as C\n"
        "from encola.domain.fingerprint import fingerprint\n"
        "params = {name: [1, 2.5, 'ñ', None] for name in {'b', 'a', 'z', 'é'}}\n"
        "print(fingerprint('t', params, C(tenant_id='acme', agent_id='x')))\n"
    )
    there = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    params: JSON = {name: [1, 2.5, "ñ", None] for name in ("z", "é", "a", "b")}
    here = fingerprint("t", params, ExecutionContext(tenant_id=ACME, agent_id="x"))
    assert there.stdout.strip() == here


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        (float("nan"), ""),
        (float("inf"), ""),
        ({"a": [0, float("-inf")]}, "/a/1"),
        (MAX_SAFE_INTEGER + 1, ""),
        (-MAX_SAFE_INTEGER - 1, ""),
        (10**400, ""),
        ("\ud800", ""),
        ({"a": "ok\udfff"}, "/a"),
        ({"\udc00": 1}, ""),
        ({1: "a"}, ""),
        ({None: "a"}, ""),
        ({"a": {b"b": 1}}, "/a"),
        (b"bytes", ""),
        (datetime(2026, 1, 1, tzinfo=UTC), ""),
        ({1, 2}, ""),
        ((1, 2), ""),
        (Decimal(1), ""),
        ({"a/b": {"~": object()}}, "/a~1b/~0"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(value: object, pointer: str) -> None:
    with pytest.raises(NotJson) as refused:
        fingerprint("t", value, HERE)  # type: ignore[arg-type]

    assert refused.value.pointer == pointer
    assert (pointer or "the top") in str(refused.value)


def test_json_may_be_nested_so_deep_and_no_deeper() -> None:
    assert canonical_json(nested(MAX_DEPTH)) == rfc8785.dumps(nested(MAX_DEPTH))  # type: ignore[arg-type]
    assert fingerprint("t", nested(MAX_DEPTH), HERE)

    with pytest.raises(NotJson, match="deeper than 32"):
        fingerprint("t", nested(MAX_DEPTH + 1), HERE)
    with pytest.raises(NotJson, match="deeper than 32"):
        check_json(nested(100_000))


def test_a_value_that_holds_itself_is_refused() -> None:
    ring: list[Any] = []
    ring.append(ring)

    with pytest.raises(NotJson, match="deeper"):
        canonical_json(ring)


@given(json_values())
def test_checking_returns_the_value_itself(value: JSON) -> None:
    assert check_json(value) is value


def test_seed_05_equal_work_of_two_tenants_has_two_fingerprints() -> None:
    acme, globex = (ExecutionContext(tenant_id=tenant) for tenant in (ACME, GLOBEX))

    assert fingerprint("t", {"q": 1}, acme) != fingerprint("t", {"q": 1}, globex)


def test_seed_10_fields_do_not_run_into_each_other() -> None:
    with pytest.raises(InvalidContext):
        ExecutionContext(tenant_id=TenantId("a:b"))
    with_agent = ExecutionContext(tenant_id=ACME, agent_id="x")
    with_collection = ExecutionContext(tenant_id=ACME, collection_id="x")

    prints = [
        fingerprint("b:c", None, HERE),
        fingerprint("b", "c", HERE),
        fingerprint("t", [1, 2], HERE),
        fingerprint("t", {"value": "[1, 2]"}, HERE),
        fingerprint("t", "[1,2]", HERE),
        fingerprint("t", None, HERE),
        fingerprint("t", None, with_agent),
        fingerprint("t", None, with_collection),
    ]

    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize("value", [{1: "a"}, datetime(2026, 1, 1, tzinfo=UTC), object()])
def test_seed_10_nothing_is_turned_into_text_to_be_hashed(value: object) -> None:
    with pytest.raises(NotJson):
        fingerprint("t", {"a": value}, HERE)  # type: ignore[dict-item]
