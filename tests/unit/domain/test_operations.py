"""Operation types of an application's own."""

import math
from dataclasses import replace

import pytest

from encola.domain.errors import InvalidSettings, UnknownOperation
from encola.domain.operations import Operations
from encola.domain.policy import OPERATIONS, OperationPolicy, Repeat

INVOICE = OperationPolicy(name="invoice_create", timeout=10.0)
READING = OperationPolicy(name="invoice_read", timeout=1.0, method="GET", repeat=Repeat.SAFE)


def test_without_operations_of_ones_own_there_is_the_table() -> None:
    assert dict(Operations()) == OPERATIONS


def test_an_operation_of_ones_own_stands_beside_the_table() -> None:
    operations = Operations([INVOICE, READING])

    assert dict(operations) == {**OPERATIONS, "invoice_create": INVOICE, "invoice_read": READING}
    assert operations.policy_for("invoice_create") is INVOICE
    assert len(operations) == len(OPERATIONS) + 2


def test_an_operation_of_ones_own_can_take_the_place_of_one_of_the_table() -> None:
    patient = replace(OPERATIONS["agent_execution"], timeout=900.0)

    operations = Operations([patient])

    assert operations.policy_for("agent_execution") is patient
    assert OPERATIONS["agent_execution"].timeout == 300.0


@pytest.mark.parametrize("name", ["guess", "", "Invoice_create"])
def test_an_unknown_operation_is_an_error(name: str) -> None:
    with pytest.raises(UnknownOperation, match=f"no operation type '{name}'"):
        Operations([INVOICE]).policy_for(name)


def test_two_operations_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidSettings, match="two operation types called 'invoice_create'"):
        Operations([INVOICE, INVOICE])


@pytest.mark.parametrize("policy", OPERATIONS.values(), ids=list(OPERATIONS))
def test_the_table_keeps_the_rules_itself(policy: OperationPolicy) -> None:
    assert Operations([policy]).policy_for(policy.name) is policy


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (replace(INVOICE, name="Invoice"), "must be called by"),
        (replace(INVOICE, name="2nd"), "must be called by"),
        (replace(INVOICE, name=""), "must be called by"),
        (replace(INVOICE, name="a" * 65), "must be called by"),
        (replace(INVOICE, timeout=0), "must have a timeout above 0"),
        (replace(INVOICE, timeout=-1), "must have a timeout above 0"),
        (replace(INVOICE, timeout=math.inf), "must have a timeout above 0"),
        (replace(INVOICE, timeout=math.nan), "must have a timeout above 0"),
        (replace(INVOICE, ttl=-1), "must have a ttl of 0"),
        (replace(INVOICE, attempts=0), "must have 1 attempt or more"),
        (replace(INVOICE, attempt_share=0), "attempt_share above 0 and up to 1"),
        (replace(INVOICE, attempt_share=1.1), "attempt_share above 0 and up to 1"),
        (replace(INVOICE, attempt_share=math.nan), "attempt_share above 0 and up to 1"),
        (replace(INVOICE, method="get"), "must have a method out of GET"),
        (replace(INVOICE, method="CONNECT"), "must have a method out of GET"),
        (replace(INVOICE, method="GET"), "only reads by GET: its repeat must be safe"),
        (replace(READING, repeat=Repeat.NEVER), "only reads by GET: its repeat must be safe"),
        (replace(INVOICE, ttl=60, caches_response=True), "cached only if its repeat is safe"),
        (replace(READING, caches_response=True), "must have a ttl above 0"),
    ],
)
def test_a_policy_that_no_call_can_keep_to_is_refused(policy: OperationPolicy, says: str) -> None:
    with pytest.raises(InvalidSettings, match=says) as refused:
        Operations([policy])

    assert f"operation type {policy.name!r}" in str(refused.value)
