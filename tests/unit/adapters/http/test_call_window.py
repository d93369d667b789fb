from hypothesis import given
from hypothesis import strategies as st

from encola.adapters.http.call_window import CallWindow

calls = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.booleans()), max_size=120)


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(calls)
def test_it_judges_as_one_who_counts_every_call_anew(calls: list[tuple[int, bool, bool]]) -> None:
    time = Time()
    window = CallWindow(time)
    seen: list[tuple[int, bool, bool]] = []
    for later, failed, slow in calls:
        time.now += later
        window.add(failed=failed, slow=slow)
        seen.append((int(time.now), failed, slow))

        recent = [call for call in seen if call[0] > int(time.now) - 10]
        bad = sum(call[1] for call in recent), sum(call[2] for call in recent)
        expected = len(recent) >= 20 and (2 * bad[0] >= len(recent) or 10 * bad[1] >= 8 * len(recent))
        assert window.is_bad is expected


def test_what_is_longer_ago_than_ten_seconds_no_longer_counts() -> None:
    time = Time()
    window = CallWindow(time)
    for _ in range(20):
        window.add(failed=True, slow=False)
    before = window.is_bad
    time.now += 10

    assert (before, window.is_bad) == (True, False)
