"""What of a trace and of baggage goes on: the grammars of W3C, and no exception for any text."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from encola.domain.trace import (
    LONGEST_BAGGAGE,
    LONGEST_TRACESTATE,
    MOST_BAGGAGE,
    MOST_STATES,
    flags_of,
    is_baggage_name,
    readable_baggage,
    readable_traceparent,
    readable_tracestate,
    spelt,
    trace_id_of,
)
from encola.testing.strategies import traceparents

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"
LISTS = st.text('ab=,; \t@*%"é\r1') | st.text()


@given(traceparents())
def test_a_trace_that_is_well_formed_goes_on_as_it_came(text: str) -> None:
    assert readable_traceparent(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        GOOD.upper(),
        f" {GOOD}",
        f"{GOOD}\n",
        f"{GOOD}-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-0g",
        f"0١-{TRACE}-{SPAN}-01",
    ],
)
def test_what_names_no_trace_is_dropped(text: str) -> None:
    assert readable_traceparent(text) is None


@pytest.mark.parametrize(
    ("later", "taken"),
    [
        (f"01-{TRACE}-{SPAN}-01", GOOD),
        (f"cc-{TRACE}-{SPAN}-03-what-may-come", GOOD),
        (f"01-{TRACE}-{SPAN}-fe", f"00-{TRACE}-{SPAN}-00"),
        (f"01-{TRACE}-{SPAN}-01.", None),
    ],
)
def test_of_a_later_version_the_part_goes_on_that_is_known(later: str, taken: str | None) -> None:
    assert readable_traceparent(later) == taken


@given(st.text() | traceparents())
def test_what_was_read_once_is_read_again_the_same(text: str) -> None:
    once = readable_traceparent(text)

    assert once is None or readable_traceparent(once) == once


@given(traceparents())
def test_a_trace_is_spelt_from_its_parts(text: str) -> None:
    assert spelt(trace_id_of(text), text[36:52], flags_of(text)) == text


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        (" a=1 ,\tb=2,, ", "a=1,b=2"),
        ("fw529a3039@dt=FfdbA b", "fw529a3039@dt=FfdbA b"),
        ("0a@b=1", "0a@b=1"),
        ("a=1,A=2", None),
        ("0a=1", None),
        ("a=1,a=2", None),
        ("a", None),
        ("a=", None),
        ("a=é", None),
        ("a=b=c", None),
        ("a=1\r\nX: y", None),
        ("", None),
        (",", None),
    ],
)
def test_a_state_goes_on_whole_or_not_at_all(text: str, taken: str | None) -> None:
    assert readable_tracestate(text) == taken


def test_the_oldest_states_fall_off_where_there_are_too_many() -> None:
    many = ",".join(f"k{number}={number}" for number in range(40))
    long = ",".join(f"k{number}={'v' * 100}" for number in range(10))

    assert readable_tracestate(many) == ",".join(f"k{number}={number}" for number in range(MOST_STATES))
    assert readable_tracestate(long) == ",".join(f"k{number}={'v' * 100}" for number in range(4))


@given(LISTS)
@example("a=" + "b" * 256)
def test_no_text_makes_a_state_that_is_too_long_or_unreadable(text: str) -> None:
    state = readable_tracestate(text)

    assert state is None or (0 < len(state) <= LONGEST_TRACESTATE and readable_tracestate(state) == state)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("plan=a%20b", "plan=a%20b"),
        ("plan = a ; ttl = 1 ; secure, region=eu", "plan = a ; ttl = 1 ; secure,region=eu"),
        ("plan=", "plan="),
        ("user=ana,plan=a", "plan=a"),
        ("user=ana", None),
        ("plan", None),
        ("pl an=a", None),
        ("plan=a b,region=eu", "region=eu"),
        ('plan="a",region=eu', "region=eu"),
        ("plan=é,region=eu", "region=eu"),
        ("Plan=a", None),
        ("", None),
    ],
)
def test_of_baggage_the_members_go_on_that_are_named_and_well_formed(text: str, taken: str | None) -> None:
    assert readable_baggage(text, {"plan", "region"}) == taken


def test_without_names_to_let_through_nothing_goes_on() -> None:
    assert readable_baggage("plan=a", ()) is None
    assert readable_baggage("plan=a") == "plan=a"


def test_baggage_is_cut_to_what_everybody_carries() -> None:
    many = readable_baggage(",".join(f"k{number}=1" for number in range(100)))
    large = readable_baggage(",".join(f"k{number}={'v' * 1000}" for number in range(20)))

    assert many is not None
    assert large is not None
    assert many.count(",") == MOST_BAGGAGE - 1
    assert large.count(",") == 7
    assert LONGEST_BAGGAGE - 1100 < len(large) <= LONGEST_BAGGAGE


@given(LISTS)
def test_no_text_makes_baggage_that_cannot_be_read_again(text: str) -> None:
    baggage = readable_baggage(text)

    assert baggage is None or readable_baggage(baggage) == baggage


@pytest.mark.parametrize(
    "hostile",
    ["a=" + ";" * 60_000, "a=b" + " ;\t" * 20_000, "=" * 60_000, ", " * 30_000, "a" * 60_000],
    ids=["properties", "spaces", "equals", "empty", "name"],
)
def test_a_hostile_list_is_dropped_like_any_other(hostile: str) -> None:
    assert readable_baggage(hostile) is None
    assert readable_tracestate(hostile) is None


@pytest.mark.parametrize(("name", "is_one"), [("plan", True), ("a.b-c_d", True), ("", False), ("a b", False)])
def test_a_name_in_baggage_is_a_token(name: str, is_one: bool) -> None:
    assert is_baggage_name(name) is is_one
