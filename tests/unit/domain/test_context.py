"""The grammar of names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.domain.context import ExecutionContext, TenantId, is_job_id, parse_tenant, present
from encola.domain.errors import InvalidContext
from encola.testing.builders import ACME, an_id
from encola.testing.strategies import contexts, tenants


@given(tenants())
def test_a_tenant_within_the_grammar_is_taken(tenant: TenantId) -> None:
    assert parse_tenant(tenant) == tenant


@pytest.mark.parametrize(
    "text", ["", " ", "a:b", "a/b", "a b", "ñ", "a\n", "a\x00", "{a}", "*", "a" * 65, "١"]
)
def test_a_tenant_outside_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(InvalidContext, match="tenant_id"):
        parse_tenant(text)
    with pytest.raises(InvalidContext, match="tenant_id"):
        ExecutionContext(tenant_id=TenantId(text))


@pytest.mark.parametrize("name", ["agent_id", "conversation_id", "collection_id"])
@pytest.mark.parametrize("text", ["", "a b", "a/b", "a\n", "a\r\nX-Tenant-ID: b", "a" * 129, "é"])
def test_a_name_outside_the_grammar_is_refused_and_named(name: str, text: str) -> None:
    with pytest.raises(InvalidContext, match=name):
        ExecutionContext(**{"tenant_id": ACME, name: text})  # type: ignore[arg-type]


@given(contexts())
def test_a_context_comes_back_from_its_mapping(context: ExecutionContext) -> None:
    assert ExecutionContext.from_mapping(context.as_mapping()) == context
    assert None not in context.as_mapping().values()


def test_names_that_nobody_knows_are_left_out_of_a_context() -> None:
    assert ExecutionContext.from_mapping({"tenant_id": "acme", "role": "admin"}) == ExecutionContext(
        tenant_id=ACME
    )


@pytest.mark.parametrize("values", [{}, {"tenant_id": None}, {"tenant_id": ""}, {"agent_id": "a"}])
def test_there_is_no_context_without_a_tenant(values: dict[str, str | None]) -> None:
    with pytest.raises(InvalidContext):
        ExecutionContext.from_mapping(values)


@pytest.mark.parametrize("value", [None, "", "  ", "null", "undefined", " null "])
def test_what_browsers_send_for_nothing_is_nothing(value: str | None) -> None:
    assert present(value) is None


@given(st.text(min_size=1).filter(lambda text: text.strip() not in ("", "null", "undefined")))
def test_anything_else_is_present(value: str) -> None:
    assert present(value) == value.strip()


def test_a_job_id_is_a_uuid_in_lower_case() -> None:
    assert is_job_id(an_id(1))
    for text in (
        "",
        an_id(1).upper().replace("0", "A"),
        f"{an_id(1)}\n",
        an_id(1)[:-1],
        an_id(1).replace("-", ""),
    ):
        assert not is_job_id(text)
