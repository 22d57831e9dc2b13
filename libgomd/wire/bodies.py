"""
The body of a datagram: a message as one CBOR array, and back, strictly.

An array is ``[kind, sender, instance, sent_at, sequence, field ...]``. Definite lengths only, no tags,
no maps, no floats, no byte behind it; `libgomd.wire.layouts` knows the fields of each kind.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable
from typing import Final

import cbor2

from libgomd.errors import MalformedBody
from libgomd.wire.layouts import BY_KIND, LAYOUTS, check
from libgomd.wire.messages import MAX_PACKET, MIN_ROOM, Datagram, Question


def new_encoder() -> Callable[[object], bytes]:
    """
    Return what does the same as ``cbor2.dumps``, half as long: making an encoder is most of its work.

    For one thread only: two that share it get each other's bytes.
    """
    return cbor2.CBOREncoder(io.BytesIO()).encode_to_bytes


def encode_body(datagram: Datagram, overhead: int, encode: Callable[[object], bytes] = cbor2.dumps) -> bytes:
    """
    Return the body of ``datagram``.

    :param overhead: bytes that the packet has beside its body; a question is padded to its room.
    :param encode: `new_encoder`'s, where it is worth keeping one.
    :raises ValueError: a value is out of its range, or it becomes too long: a bug of the caller.
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
    """Return ``body``, whose last field is an empty byte string, with that filled up to ``length``."""
    missing = length - len(body)
    if missing <= 0:
        return body
    # A byte string from 24 bytes on has a head of 2 bytes, from 256 on one of 3: for two lengths there is
    # none, then it is a byte longer. A packet of 1200 bytes has room for more than both.
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


#: cbor2 makes dates, regular expressions, fractions and references of these; nothing here needs them.
_TAGS = dict.fromkeys(
    (*range(6), 21, 22, 23, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799),
    _refuse_tag,
)
#: cbor2 takes no notice of bytes behind a value. So the body is read as the first of two values, and
#: the second has to be these bytes, which nobody outside can guess: then nothing was between.
_END: Final = secrets.token_bytes(12)
_TAIL: Final = cbor2.dumps(_END)


def decode_body(body: bytes, packet_length: int) -> Datagram:
    """
    Return what ``body`` says.

    :param packet_length: bytes of the whole packet, which is what a question has room for.
    :raises MalformedBody: for any other bytes, and nothing else.
    """
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
        if end != _END or type(values) is not tuple:
            raise ValueError("not one array")
        layout = BY_KIND.get(values[0]) if values and type(values[0]) is int else None
        if layout is None:
            raise ValueError(f"no kind that is known: {values[:1]!r:.20}")
        check(layout, values)
        message = layout.read(values, packet_length)
    except (cbor2.CBORError, ValueError) as error:
        raise MalformedBody(f"a body of {len(body)} bytes: {error}") from error
    return Datagram(values[1], values[2], values[3], values[4], message)
