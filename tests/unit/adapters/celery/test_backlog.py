"""The backlog knows which queues have enough."""

from encola.adapters.celery.backlog import REMEMBERED_SECONDS, Backlog


def filled(messages: int, *, enough: int = 10) -> Backlog:
    """Return a backlog after so many messages to one queue."""
    backlog = Backlog(enough)
    for _ in range(messages):
        backlog.add("agent_tasks", now=0.0)
    return backlog


def test_a_queue_is_full_when_enough_was_sent_to_it() -> None:
    assert filled(9).full == frozenset()
    assert filled(10).full == {"agent_tasks"}


def test_a_queue_is_full_when_the_broker_says_so() -> None:
    backlog = filled(1)

    backlog.count("agent_tasks", 10, included=1)

    assert backlog.full == {"agent_tasks"}


def test_a_queue_that_was_worked_off_is_not_full() -> None:
    backlog = filled(10)

    backlog.count("agent_tasks", 0, included=10)

    assert backlog.full == frozenset()


def test_what_was_sent_after_the_count_is_added_to_it() -> None:
    backlog = filled(8)

    backlog.count("agent_tasks", 7, included=5)

    assert backlog.full == {"agent_tasks"}


def test_other_queues_are_not_full() -> None:
    backlog = filled(10)
    backlog.add("query_tasks", now=0.0)

    assert backlog.full == {"agent_tasks"}


def test_a_queue_that_is_not_used_is_forgotten() -> None:
    backlog = filled(9)

    assert backlog.in_question(REMEMBERED_SECONDS - 1) == ["agent_tasks"]
    assert backlog.in_question(REMEMBERED_SECONDS + 1) == []
    assert backlog.sent_to("agent_tasks") == 0


def test_a_full_queue_is_asked_after_until_it_is_not() -> None:
    backlog = filled(10)

    assert backlog.in_question(REMEMBERED_SECONDS * 100) == ["agent_tasks"]


def test_a_count_of_a_forgotten_queue_is_not_kept() -> None:
    backlog = Backlog(10)

    backlog.count("agent_tasks", 100, included=0)

    assert backlog.full == frozenset()
