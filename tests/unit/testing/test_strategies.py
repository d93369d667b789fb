"""The strategies give what their names say."""

import json

from hypothesis import given

from encola.domain.context import ExecutionContext
from encola.domain.event import announce
from encola.domain.job import Job
from encola.domain.json_value import JSON, check_json
from encola.domain.record import dump_job, load_job
from encola.testing import strategies
from encola.testing.builders import ACME


@given(strategies.json_values())
def test_json_values_pass_the_check_at_the_door(value: JSON) -> None:
    assert check_json(value) is value


@given(strategies.contexts())
def test_contexts_survive_their_mapping(context: ExecutionContext) -> None:
    assert ExecutionContext.from_mapping(context.as_mapping()) == context


@given(strategies.contexts(ACME))
def test_contexts_of_a_tenant_are_of_that_tenant(context: ExecutionContext) -> None:
    assert context.tenant_id == ACME


@given(strategies.jobs())
def test_any_job_survives_its_record(job: Job) -> None:
    assert load_job(json.loads(json.dumps(dump_job(job)))) == job


@given(strategies.jobs())
def test_the_event_of_any_job_can_be_read(job: Job) -> None:
    payload = announce(job).payload

    assert (payload["seq"], payload["status"], payload["final"]) == (
        job.seq,
        job.status,
        job.status.is_terminal,
    )
