"""How announcements are packed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.adapters.redis.announcements import job_of, pack, unpack
from encola.domain.event import announce
from encola.domain.job import Job
from encola.testing.builders import ACME, a_chunk, a_job, an_event
from encola.testing.strategies import jobs, texts

EVENT = pack(an_event()).encode()
CHUNK = pack(a_chunk(a_job(), "ñ\n text")).encode()


@given(jobs())
def test_an_event_comes_back_as_it_was(job: Job) -> None:
    event = announce(job)
    packed = pack(event).encode()

    assert job_of(packed) == job.id
    assert unpack(job.tenant_id, packed) == event


@given(name=texts(), text=texts())
def test_a_piece_of_output_comes_back_as_it_was(name: str, text: str) -> None:
    chunk = a_chunk(a_job(attempt=3), text, name=name, offset=7)
    packed = pack(chunk).encode()

    assert job_of(packed) == chunk.job_id
    assert unpack(ACME, packed) == chunk


@pytest.mark.parametrize("whole", [EVENT, CHUNK], ids=["event", "output"])
@given(st.data())
def test_what_is_broken_is_refused_or_read_but_nothing_else(whole: bytes, data: st.DataObject) -> None:
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    broken = whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:]

    job_of(broken)
    try:
        announcement = unpack(ACME, broken)
    except ValueError:
        return
    assert announcement.tenant_id == ACME


@pytest.mark.parametrize("rest", [b"", b"O", b"O3", b"O{}", b"E", b"E1 e x 1 t {}", b"X1", b"E\xff"])
def test_what_was_not_packed_is_refused(rest: bytes) -> None:
    with pytest.raises(ValueError):
        unpack(ACME, EVENT[:36] + rest)
