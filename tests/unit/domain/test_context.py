"""The grammar of names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.domain.context import ExecutionContext, TenantId, is_job_id, parse_tenant, present
from encola.domain.errors import InvalidContext
from encola.testing.builders import ACME, an_id
from encola.testing.strategies import contexts, tenants

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


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


def test_a_context_that_was_stored_before_requests_had_names_is_one_still() -> None:
    stored = {"tenant_id": "acme", "agent_id": "a", "traceparent": TRACE}
    context = ExecutionContext.from_mapping(stored)

    assert context == ExecutionContext(tenant_id=ACME, agent_id="a", traceparent=TRACE)
    assert context.as_mapping() == stored


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"traceparent": "t"}, {}),
        ({"traceparent": "", "request_id": ""}, {}),
        ({"traceparent": TRACE, "tracestate": "x=1"}, {"traceparent": TRACE, "tracestate": "x=1"}),
        ({"traceparent": "t", "tracestate": "x=1"}, {}),
        ({"tracestate": "x=1"}, {}),
        ({"traceparent": TRACE, "tracestate": "X"}, {"traceparent": TRACE}),
        ({"baggage": "a=b, bad, c=d"}, {"baggage": "a=b,c=d"}),
        ({"baggage": "bad"}, {}),
        ({"request_id": "r:1@x"}, {"request_id": "r:1@x"}),
        ({"request_id": "a\r\nX-Tenant-ID: b"}, {}),
        ({"request_id": "r" * 129}, {}),
    ],
)
def test_what_only_helps_to_find_work_is_dropped_when_it_cannot_be_read(
    given: dict[str, str], kept: dict[str, str]
) -> None:
    context = ExecutionContext.from_mapping({"tenant_id": "acme", **given})

    assert context.as_mapping() == {"tenant_id": "acme", **kept}


@given(st.dictionaries(st.sampled_from(["traceparent", "tracestate", "baggage", "request_id"]), st.text()))
def test_nothing_that_a_context_passes_on_can_begin_a_header(fields: dict[str, str]) -> None:
    context = ExecutionContext.from_mapping({"tenant_id": "acme", **fields})

    for value in context.as_mapping().values():
        assert value
        assert value.isascii()
        assert not {"\r", "\n", "\0"} & set(value)


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
