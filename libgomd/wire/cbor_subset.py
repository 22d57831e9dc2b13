"""
Decodes the part of CBOR (RFC 8949) that datagrams use: integers, strings of bytes and text, arrays, null,
booleans.

It stands in for cbor2 before version 6, which cannot be told to refuse tags, lengths that are not said
beforehand, deep nesting and bytes after the value. Debian 13 has such a version.
"""

from __future__ import annotations

from typing import Final

Item = int | bytes | str | bool | tuple["Item", ...] | None

#: Arrays in arrays. The fields of a message are not nested at all.
MAX_DEPTH: Final = 3
_SIMPLE: Final = {0xF4: False, 0xF5: True, 0xF6: None}
_INTEGER, _NEGATIVE, _BYTES, _TEXT, _ARRAY = range(5)


def decode_array(data: bytes) -> tuple[Item, ...]:
    """
    Return the array that ``data`` is, with nothing before or after it.

    :raises ValueError: for any other bytes, and nothing else.
    """
    value, end = _item(data, 0, MAX_DEPTH)
    if end != len(data) or type(value) is not tuple:
        raise ValueError("not one array")
    return value


def _item(data: bytes, at: int, depth: int) -> tuple[Item, int]:
    """Return the item that begins at ``at``, and where it ends."""
    if at >= len(data):
        raise ValueError("it ends too early")
    head = data[at]
    major, number = head >> 5, head & 0x1F
    if head in _SIMPLE:
        return _SIMPLE[head], at + 1
    if major > _ARRAY:
        raise ValueError("a tag, a map, a float or an unknown value")
    at += 1
    if number > 23:
        if number > 27:
            raise ValueError("a length that is not said beforehand")
        size = 1 << number - 24
        number = int.from_bytes(_part(data, at, size), "big")
        at += size
    if major == _INTEGER:
        return number, at
    if major == _NEGATIVE:
        return -1 - number, at
    if major == _ARRAY:
        if not depth:
            raise ValueError("arrays that are nested too deeply")
        items = []
        for _ in range(number):  # each takes a byte at least, so the end of the data bounds this
            item, at = _item(data, at, depth - 1)
            items.append(item)
        return tuple(items), at
    content = _part(data, at, number)
    return (content if major == _BYTES else content.decode()), at + number


def _part(data: bytes, at: int, size: int) -> bytes:
    if size > len(data) - at:
        raise ValueError("it ends too early")
    return data[at : at + size]
