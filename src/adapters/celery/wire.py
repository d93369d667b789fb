"""Messages as the bytes that AMQP sends, encoded together instead of one frame object after the other.

A publisher spends most of its time on encoding headers, and all but a few of ours never change.
"""

from collections.abc import Iterable
from struct import Struct
from typing import Final

import pamqp.encode
import pamqp.frame
from pamqp.commands import Basic

from encola.adapters.celery.message import CONTENT_ENCODING, CONTENT_TYPE, STANDARD_HEADERS, TaskMessage

_FRAME: Final = Struct(">BHI")
_LENGTH: Final = Struct(">I")
_CONTENT: Final = Struct(">HHQH")
_FRAME_END: Final = b"\xce"
_HEADER_FRAME: Final = 2
_BODY_FRAME: Final = 3
_PERSISTENT: Final = b"\x02"
_METHODS_KEPT: Final = 1_000

_FLAGS: Final = sum(
    Basic.Properties.flags[name]
    for name in (
        "content_type",
        "content_encoding",
        "headers",
        "delivery_mode",
        "correlation_id",
        "message_id",
    )
)


class PublishedFrames:
    """Encodes messages for one channel.

    :param channel: the channel's number
    :param body_limit: how many bytes of a body fit into one frame
    """

    def __init__(self, channel: int, body_limit: int) -> None:
        self._channel = channel
        self._body_limit = body_limit
        self._methods: dict[str, bytes] = {}

    def encode(self, message: TaskMessage, message_id: str) -> bytes:
        """Return the frames that publish a message, to be returned if it can reach no queue.

        :raises ValueError: a name in it is too long for AMQP
        """
        method = self._method(message.queue)
        return b"".join((method, self._header(message, message_id), *self._body(message.body)))

    def _method(self, queue: str) -> bytes:
        known = self._methods.get(queue)
        if known is None:
            _short(queue)
            publish = Basic.Publish(exchange="", routing_key=queue, mandatory=True)
            known = pamqp.frame.marshal(publish, self._channel)
            if len(self._methods) < _METHODS_KEPT:
                self._methods[queue] = known
        return known

    def _header(self, message: TaskMessage, message_id: str) -> bytes:
        table = b"".join((_STANDARD_TABLE, *(_field(*header) for header in message.headers.items())))
        payload = b"".join(
            (
                _CONTENT.pack(Basic.frame_id, 0, len(message.body), _FLAGS),
                _CONTENT_KIND,
                _LENGTH.pack(len(table)),
                table,
                _PERSISTENT,
                _short(message.job_id),
                _short(message_id),
            )
        )
        return self._frame(_HEADER_FRAME, payload)

    def _body(self, body: bytes) -> Iterable[bytes]:
        limit = self._body_limit
        return (self._frame(_BODY_FRAME, body[start : start + limit]) for start in range(0, len(body), limit))

    def _frame(self, kind: int, payload: bytes) -> bytes:
        return _FRAME.pack(kind, self._channel, len(payload)) + payload + _FRAME_END


def _short(text: str) -> bytes:
    encoded = text.encode()
    return bytes((len(encoded),)) + encoded


def _field(name: str, value: str) -> bytes:
    encoded = value.encode()
    return _short(name) + b"S" + _LENGTH.pack(len(encoded)) + encoded


_CONTENT_KIND: Final = _short(CONTENT_TYPE) + _short(CONTENT_ENCODING)
_STANDARD_TABLE: Final = pamqp.encode.field_table(STANDARD_HEADERS)[_LENGTH.size :]
