"""
The body of a datagram: encodes a message as one CBOR array, and decodes it strictly.

The array is ``[kind, sender, instance, sent_at, sequence, field ...]``. It has definite lengths, no tags, no
maps, no floats, and no byte follows it. `libgomd.wire.layouts` has the fields of each kind.
"""

from __future__ import annotations

import importlib.util
import io
import secrets
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from libgomd.errors import MalformedBody
from libgomd.wire.cbor_subset import decode_array
from libgomd.wire.layouts import BY_KIND, LAYOUTS, check
from libgomd.wire.messages import MAX_PACKET, MIN_ROOM, Datagram, Question

# cbor2 takes most of a megabyte, so it is imported for the first datagram. That it is missing is told at the
# start nevertheless.
if importlib.util.find_spec("cbor2") is None:
    raise ModuleNotFoundError("No module named 'cbor2'", name="cbor2")


def new_encoder() -> Callable[[object], bytes]:
    """
    Return a function like ``cbor2.dumps`` that takes half as long, because it reuses one encoder.

    Only one thread may use it; two threads would mix their bytes.
    """
    made: list[Callable[[object], bytes]] = []

    def encode(value: object) -> bytes:
        if not made:
            import cbor2

            made.append(cbor2.CBOREncoder(io.BytesIO()).encode_to_bytes)
        return made[0](value)

    return encode


def _dumps(value: object) -> bytes:
    import cbor2

    return cbor2.dumps(value)


def encode_body(datagram: Datagram, overhead: int, encode: Callable[[object], bytes] = _dumps) -> bytes:
    """
    Return the body of ``datagram``.

    :param overhead: bytes of the packet besides its body. A question is padded to its room.
    :param encode: a function of `new_encoder`, for callers that keep one.
    :raises ValueError: a value is out of range, or the packet becomes too long: a bug of the caller.
    """
    sender, instance, sent_at, sequence, message = datagram
    layout = LAYOUTS[type(message)]
    values = (layout.kind, sender, instance, sent_at, sequence, *layout.write(message))
    check(layout, values)
    body = encode(values)
    if type(message) is Question:
        if not MIN_ROOM <= message.room <= MAX_PACKET:
            raise ValueError(f"the room of a question is {MIN_ROOM} to {MAX_PACKET}, not {message.room}")
        body = _padded(body, message.room - overhead)
    if len(body) + overhead > MAX_PACKET:
        raise ValueError(f"a packet of {len(body) + overhead} bytes: at most {MAX_PACKET} can be sent")
    return body


def _padded(body: bytes, length: int) -> bytes:
    """Return ``body`` padded to ``length``; its last field, an empty byte string, is filled with zeros."""
    missing = length - len(body)
    if missing <= 0:
        return body
    # The head of a byte string has 2 bytes from length 24 on, and 3 from 256 on. Two total lengths therefore
    # do not exist; the result is then a byte longer. A packet of 1200 bytes has room for both.
    if missing > 256:
        size = max(missing - 2, 256)
        head = bytes((0x59, size >> 8, size & 0xFF))
    elif missing > 23:
        size = max(missing - 1, 24)
        head = bytes((0x58, size))
    else:
        size = missing
        head = bytes((0x40 + size,))
    return body[:-1] + head + bytes(size)


def _refuse_tag(_value: object, _immutable: object) -> object:
    raise ValueError("no tags")


#: Tags for which cbor2 makes dates, regular expressions, fractions and references. All are refused.
_TAGS = dict.fromkeys(
    (*range(6), 21, 22, 23, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799),
    _refuse_tag,
)
#: cbor2 ignores bytes after a value. The body is therefore decoded as the first of two values. The second
#: must be these bytes, which no sender can guess, so nothing can be between them.
_END: Final = secrets.token_bytes(12)
_TAIL: Final = b"\x4c" + _END  # a byte string of twelve


def decode_body(body: bytes, packet_length: int) -> Datagram:
    """
    Return the datagram in ``body``.

    :param packet_length: bytes of the whole packet, which limit the answer to a question.
    :raises MalformedBody: for any other bytes, and nothing else.
    """
    try:
        values = _reader()(body)
        layout = BY_KIND.get(values[0]) if values and type(values[0]) is int else None
        if layout is None:
            raise ValueError(f"an unknown kind: {values[:1]!r:.20}")
        check(layout, values)
        message = layout.read(values, packet_length)
    except ValueError as error:
        raise MalformedBody(f"a body of {len(body)} bytes: {error}") from error
    return Datagram(values[1], values[2], values[3], values[4], message)


@lru_cache(maxsize=1)
def _reader() -> Callable[[bytes], tuple[Any, ...]]:
    """Return what reads one array: cbor2, if its version can be told to be strict."""
    import cbor2

    return _read_strictly if hasattr(cbor2, "SemanticDecoderCallback") else decode_array


def _read_strictly(body: bytes) -> tuple[Any, ...]:
    """Return the array that ``body`` is, by cbor2 from version 6 on. :raises ValueError: it is none."""
    import cbor2

    try:
        values, end = cbor2.loads(
            b"\x82" + body + _TAIL,
            semantic_decoders=_TAGS,
            tag_hook=_refuse_tag,
            max_depth=4,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            immutable=True,
        )
    except cbor2.CBORError as error:
        raise ValueError(str(error)) from error
    if end != _END or type(values) is not tuple:
        raise ValueError("not one array")
    return values
