"""What a change announces."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given

from encola.domain.event import announce, rfc3339
from encola.domain.job import Job, JobStatus, Progress
from encola.domain.output import OutputChunk
from encola.domain.policy import RetryPolicy
from encola.testing.builders import FLAW, HICCUP, LEASE, NOON, a_chunk, a_job, after
from encola.testing.strategies import jobs

COMMON = {"v", "seq", "epoch", "type", "job_id", "job_type", "status", "final", "attempt", "ts"}


def running(**fields: object) -> Job:
    return a_job(**fields).claimed(after(1), LEASE)


def test_a_completed_job_announces_what_the_contract_shows() -> None:
    completed = running(type="agent_execution").completed({"answer": "…", "metadata": {}}, after(2.123456))

    assert announce(completed).payload == {
        "v": 1,
        "seq": 3,
        "epoch": "e1",
        "type": "job_completed",
        "job_id": completed.id,
        "job_type": "agent_execution",
        "status": "completed",
        "final": True,
        "attempt": 1,
        "ts": "2026-01-01T12:00:02.123Z",
        "result": {"answer": "…", "metadata": {}},
    }


@pytest.mark.parametrize("result", [None, 0, "", [], {}, False])
def test_seed_16_a_falsy_result_is_announced(result: object) -> None:
    event = announce(running().completed(result, after(2)))  # type: ignore[arg-type]

    assert "result" in event.payload
    assert event.payload["result"] == result
    assert event.result == result


@pytest.mark.parametrize(
    ("job", "fields"),
    [
        (a_job(status=JobStatus.SCHEDULED, due_at=after(60)), {"due_at"}),
        (a_job(), set()),
        (running(), set()),
        (running().progressed(Progress(current=1, total=4, message="m"), after(2), LEASE), {"progress"}),
        (
            running(retry=RetryPolicy(retries=1)).failed(HICCUP, after(2), 0.5),
            {"error", "error_info", "due_at"},
        ),
        (running().lost(after(40)), {"error", "error_info", "due_at"}),
        (running().handed_back(after(2)), set()),
        (running().completed(1, after(2)), {"result"}),
        (running().completed(1, after(2), cached=True), {"result", "cached"}),
        (running().failed(FLAW, after(2), 0.5), {"error", "error_info"}),
        (a_job().cancelled(after(2)), {"error", "error_info"}),
        (a_job().expired(after(2)), {"error", "error_info"}),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Job) else "",
)
def test_each_status_announces_its_own_fields(job: Job, fields: set[str]) -> None:
    event = announce(job)

    assert set(event.payload) == COMMON | fields
    assert event.payload["status"] == job.status
    assert event.final is event.payload["final"] is job.status.is_terminal


@pytest.mark.parametrize("status", JobStatus)
def test_live_states_are_updates_and_every_end_but_completed_is_an_error(status: JobStatus) -> None:
    kind = announce(a_job(status=status)).type

    if status is JobStatus.COMPLETED:
        assert kind == "job_completed"
    else:
        assert kind == ("job_error" if status.is_terminal else "status_update")


@pytest.mark.parametrize("job", [a_job().cancelled(NOON), a_job().expired(NOON)])
def test_seed_17_every_end_is_announced_with_a_sentence(job: Job) -> None:
    event = announce(job)

    assert event.type == "job_error"
    assert event.final
    assert isinstance(event.error, str)
    assert event.error.endswith(".")
    assert event.error_info == {"code": job.status.value, "retryable": False}


def test_progress_is_announced_with_its_percent() -> None:
    event = announce(running().progressed(Progress(current=1, total=4, message="m"), after(2), LEASE))

    assert event.progress == {"current": 1, "total": 4, "percent": 25, "message": "m"}


@given(jobs())
def test_an_event_agrees_with_its_wire(job: Job) -> None:
    event = announce(job)
    wire = json.loads(event.wire)

    assert (wire["seq"], wire["epoch"], wire["job_id"], wire["attempt"]) == (
        job.seq,
        job.epoch,
        job.id,
        job.attempt,
    )
    assert (wire["type"], wire["status"], wire["final"]) == (event.type, event.status, event.final)
    assert (wire["ts"], wire.get("result")) == (event.ts, event.result)
    assert "\n" not in event.wire
    assert not {"params", "tenant_id", "context"} & set(wire)


def test_instants_are_spelt_in_utc_with_milliseconds() -> None:
    madrid = timezone(timedelta(hours=2))

    assert rfc3339(datetime(2026, 7, 1, 14, 0, 0, 999999, madrid)) == "2026-07-01T12:00:00.999Z"
    assert re.fullmatch(r".*\.000Z", rfc3339(datetime(2026, 1, 1, tzinfo=UTC)))


def test_a_chunk_counts_bytes_and_says_whose_it_is() -> None:
    chunk: OutputChunk = a_chunk(running(), "ñandú ✓", offset=5)

    assert chunk.end == 5 + len("ñandú ✓".encode())
    assert json.loads(chunk.wire) == {
        "v": 1,
        "type": "output",
        "job_id": chunk.job_id,
        "attempt": 1,
        "name": "answer",
        "offset": 5,
        "text": "ñandú ✓",
    }
