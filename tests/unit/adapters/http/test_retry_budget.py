from hypothesis import given
from hypothesis import strategies as st

from encola.adapters.http.retry_budget import RetryBudget


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


steps = st.lists(st.one_of(st.just("take"), st.just("good"), st.floats(0, 5, allow_nan=False)), max_size=200)


@given(steps)
def test_there_are_never_more_repetitions_than_successes_and_time_allow(steps: list[str | float]) -> None:
    time = Time()
    budget = RetryBudget(time)
    taken = successes = 0
    for step in steps:
        if step == "take":
            taken += budget.take()
        elif step == "good":
            budget.succeeded()
            successes += 1
        else:
            time.now += float(step)
        assert 0 <= budget.tokens <= 10
        assert taken <= 10 + 0.1 * successes + (time.now - 100.0) + 1e-6


def test_a_spent_budget_is_filled_by_successes() -> None:
    budget = RetryBudget(Time())
    spent = [budget.take() for _ in range(11)]
    for _ in range(11):
        budget.succeeded()

    assert spent == [True] * 10 + [False]
    assert budget.take()
    assert not budget.take()


def test_a_spent_budget_is_filled_by_time() -> None:
    time = Time()
    budget = RetryBudget(time)
    for _ in range(10):
        budget.take()
    time.now += 1.5

    assert [budget.take(), budget.take()] == [True, False]
