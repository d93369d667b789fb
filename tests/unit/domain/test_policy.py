"""The table of operations, to the digit of the contract."""

import pytest

from encola.domain.errors import UnknownOperation
from encola.domain.policy import OPERATIONS, Repeat, get_timeout_for_operation, policy_for

TABLE = {
    "queue_job_create": (15.0, 300),
    "queue_job_status": (5.0, 60),
    "queue_job_update": (10.0, 0),
    "queue_job_list": (20.0, 300),
    "queue_job_cancel": (10.0, 0),
    "queue_notification": (5.0, 0),
    "queue_metrics": (15.0, 300),
    "agent_execution_queue": (30.0, 0),
    "websocket_handshake": (5.0, 0),
    "batch_job": (120.0, 1800),
    "health_check": (2.0, 30),
    "agent_execution": (300.0, 0),
    "rag_query": (30.0, 3600),
}


@pytest.mark.parametrize("name", TABLE)
def test_an_operation_has_the_timeout_and_time_to_live_of_the_contract(name: str) -> None:
    policy = policy_for(name)

    assert (policy.name, policy.timeout, policy.ttl) == (name, *TABLE[name])
    assert get_timeout_for_operation(name) == TABLE[name][0]


def test_there_are_no_other_operations() -> None:
    assert set(OPERATIONS) == set(TABLE)
    for lookup in (policy_for, get_timeout_for_operation):
        with pytest.raises(UnknownOperation, match="'guess'"):
            lookup("guess")


@pytest.mark.parametrize("name", TABLE)
def test_seed_26_all_attempts_fit_into_the_one_total_timeout(name: str) -> None:
    policy = policy_for(name)

    assert policy.attempts >= 1
    assert 0 < policy.attempt_timeout <= policy.timeout


@pytest.mark.parametrize("name", TABLE)
def test_seed_12_what_writes_is_repeated_only_under_a_key_or_when_twice_is_once(name: str) -> None:
    policy = policy_for(name)

    assert policy.repeat is not Repeat.SAFE or policy.method == "GET" or name == "rag_query"


def test_seed_14_only_what_reads_is_answered_from_a_cache() -> None:
    cached = {name for name, policy in OPERATIONS.items() if policy.caches_response}

    assert cached == {"queue_job_status", "queue_job_list", "queue_metrics", "rag_query"}
    assert all(OPERATIONS[name].repeat is Repeat.SAFE for name in cached)
