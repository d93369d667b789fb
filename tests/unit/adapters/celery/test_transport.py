"""A burst of bytes is taken apart as AMQP frames it."""

import pamqp.frame
import pytest
from amqp.exceptions import UnexpectedFrame
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody

from encola.adapters.celery.transport import split_frames

PAYLOADS = st.lists(st.binary(max_size=200), max_size=20)


def framed(payloads: list[bytes]) -> bytes:
    """Return the payloads as body frames of channel 3."""
    return b"".join(pamqp.frame.marshal(ContentBody(payload), 3) for payload in payloads)


@given(payloads=PAYLOADS)
def test_whole_frames_are_taken_out(payloads: list[bytes]) -> None:
    assert split_frames(framed(payloads)) == ([(3, 3, payload) for payload in payloads], b"")


@given(payloads=PAYLOADS, data=st.data())
def test_cut_anywhere_nothing_is_lost(payloads: list[bytes], data: st.DataObject) -> None:
    stream = framed(payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    found, rest = [], b""
    for piece in pieces:
        frames, rest = split_frames(rest + piece)
        found += frames

    assert (found, rest) == ([(3, 3, payload) for payload in payloads], b"")


def test_a_frame_that_does_not_end_as_it_should_is_an_error() -> None:
    with pytest.raises(UnexpectedFrame):
        split_frames(framed([b"text"])[:-1] + b"!")
