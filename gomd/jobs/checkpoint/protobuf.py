"""
Reads and writes messages of protocol buffers, as criu's images are made of, by the numbers of their fields.
No I/O.

Standard library only: supervisors use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

#: Kinds of fields: a number, and bytes behind their length.
VARINT: Final = 0
BYTES: Final = 2
#: Bytes of a field of the two kinds with a fixed size.
_FIXED_BYTES: Final = {1: 8, 5: 4}

#: Number, kind and value of a field.
Field = tuple[int, int, int | bytes]
#: The values of fields by their numbers, in the order in which they stand.
Values = dict[int, list[int | bytes]]


def read_fields(message: bytes) -> Iterator[Field]:
    """Yield the fields of a message. :raises ValueError: it is none."""
    for field, whole in _walk(message):
        if not whole:
            raise ValueError("a field beyond the end")
        yield field


def readable_values(message: bytes) -> Values:
    """Return the numbers and bytes in a message as far as it can be read; bytes at its end may be cut off."""
    found: Values = {}
    try:
        for (number, kind, value), _whole in _walk(message):
            if kind in (VARINT, BYTES):
                found.setdefault(number, []).append(value)
    except ValueError:
        pass
    return found


def _walk(message: bytes) -> Iterator[tuple[Field, bool]]:
    """Yield each field, and whether all of it is there. :raises ValueError: a number has no end."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        value: int | bytes
        if kind == VARINT:
            value, place = _varint(message, place)
        else:
            if kind == BYTES:
                size, place = _varint(message, place)
            else:
                size = _FIXED_BYTES.get(kind, len(message) + 1)
            value, place = message[place : place + size], place + size
        yield (number, kind, value), place <= len(message)


def encode(fields: Iterable[Field]) -> bytes:
    """Return the message that has these fields."""
    found = bytearray()
    for number, kind, value in fields:
        found += _encode_varint(number << 3 | kind)
        if isinstance(value, int):
            found += _encode_varint(value)
        else:
            found += (_encode_varint(len(value)) if kind == BYTES else b"") + value
    return bytes(found)


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(message) and shift < 70:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place += 1
        shift += 7
        if byte < 0x80:
            return value, place
    raise ValueError("a number without an end")


def _encode_varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
