"""When a service counts as up, and when it is asked again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.domain.health import ServiceHealth, ServiceStatus, problem_in
from encola.domain.json_value import JSON
from encola.testing.builders import NOON, after

GOOD, BAD = None, "it answered 503"
CHANCES = st.floats(0, 1, exclude_max=True)


def probed(*problems: str | None) -> ServiceHealth:
    """Return the health after these probes, one a second from noon on."""
    health = ServiceHealth()
    for second, problem in enumerate(problems):
        health = health.probed(problem, after(second))
    return health


@pytest.mark.parametrize(
    ("problems", "status", "since"),
    [
        ([], ServiceStatus.UNKNOWN, None),
        ([GOOD], ServiceStatus.UP, 0),
        ([BAD], ServiceStatus.UNKNOWN, None),
        ([BAD, BAD], ServiceStatus.DOWN, 1),
        ([GOOD, BAD], ServiceStatus.UP, 0),
        ([GOOD, BAD, BAD], ServiceStatus.DOWN, 2),
        ([GOOD, BAD, GOOD, BAD], ServiceStatus.UP, 0),
        ([GOOD, BAD, BAD, BAD], ServiceStatus.DOWN, 2),
        ([BAD, BAD, BAD, GOOD], ServiceStatus.UP, 3),
    ],
)
def test_two_bad_probes_in_a_row_make_down_and_one_good_one_up(
    problems: list[str | None], status: ServiceStatus, since: int | None
) -> None:
    health = probed(*problems)

    assert health.status is status
    assert health.since == (None if since is None else after(since))


def test_what_was_wrong_last_is_kept_until_a_probe_goes_well() -> None:
    assert probed(GOOD, BAD).problem == BAD
    assert (probed(GOOD, BAD).failures, probed(GOOD, BAD).checked_at) == (1, after(1))
    assert (probed(BAD, GOOD).problem, probed(BAD, GOOD).failures) == (None, 0)


@given(st.lists(st.sampled_from([GOOD, BAD]), max_size=30))
def test_a_service_is_down_exactly_while_its_last_two_probes_or_more_were_bad(
    problems: list[str | None],
) -> None:
    health = probed(*problems)

    assert (health.status is ServiceStatus.DOWN) == (problems[-2:] == [BAD, BAD])
    assert (health.status is ServiceStatus.UNKNOWN) == (GOOD not in problems and len(problems) < 2)


@given(CHANCES)
def test_a_service_is_asked_again_after_30_seconds_when_well_and_after_5_when_not(chance: float) -> None:
    tenth = timedelta(seconds=0.5)

    assert abs(probed(GOOD).pause(chance) - timedelta(seconds=30)) <= 6 * tenth
    for problems in ([BAD], [GOOD, BAD], [BAD, BAD, BAD]):
        assert abs(probed(*problems).pause(chance) - timedelta(seconds=5)) <= tenth


def test_pauses_are_spread_over_a_tenth_either_way() -> None:
    assert probed(GOOD).pause(0.0) == timedelta(seconds=27)
    assert probed(GOOD).pause(0.5) == timedelta(seconds=30)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
@pytest.mark.parametrize(
    "body", [None, "OK", [], {}, {"success": True}, {"status": 7}, *({"status": w} for w in ("ok", "UP"))]
)
def test_seed_24_any_2xx_is_good(status: int, body: JSON) -> None:
    assert problem_in(status, body) is None


@pytest.mark.parametrize("word", ["ok", "pass", "healthy", "up", "OK", "Pass"])
def test_each_word_for_well_is_understood(word: str) -> None:
    assert problem_in(200, {"status": word}) is None


@pytest.mark.parametrize(
    "body", [{"status": "fail"}, {"status": "down"}, {"status": ""}, {"success": False, "status": "ok"}]
)
def test_a_service_that_says_otherwise_is_not_well(body: JSON) -> None:
    assert problem_in(200, body) == "it says that it is not well"


@pytest.mark.parametrize("status", [199, 301, 302, 404, 429, 500, 503])
def test_any_other_status_is_a_problem_whatever_the_body_says(status: int) -> None:
    assert problem_in(status, {"status": "ok"}) == f"it answered {status}"


def test_a_health_is_dated_by_its_probes() -> None:
    assert ServiceHealth().probed(GOOD, NOON).checked_at == NOON
