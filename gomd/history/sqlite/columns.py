"""
Columns of numbers as compressed bytes: what keeps the values of each second small. No I/O.

A column is the differences of its values from row to row, in the smallest integer type that holds them,
with the bytes of equal weight side by side, compressed by zlib. Values have at most two decimals.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

#: Version of the encoding, decimals, type of the differences, whether some are unknown, rows, first value.
_HEAD: Final = struct.Struct("<BBcBIq")
_VERSION: Final = 1
_LEVEL: Final = 6
_LARGEST: Final = 2**61
#: The largest column that is read back; the writer makes none above a thousand rows.
MAX_ROWS: Final = 100_000


def encode_column(values: Sequence[float | None]) -> bytes:
    """Return a column. A value that is too large to keep, or no number, becomes unknown."""
    whole = all(value is None or value == value // 1 for value in values)
    scale = 1 if whole else 100
    numbers: list[int] = []
    known = bytearray(len(values))
    last = 0
    for at, value in enumerate(values):
        if value is not None and -_LARGEST < value * scale < _LARGEST:
            last = round(value * scale)
            known[at] = 1
        numbers.append(last)
    steps = [after - before for before, after in pairwise(numbers)]
    kind = _type_of(min(steps, default=0), max(steps, default=0))
    packed = array(kind, steps)
    if sys.byteorder == "big":
        packed.byteswap()
    data, size = packed.tobytes(), packed.itemsize
    planes = b"".join(data[each::size] for each in range(size))
    partly = 0 in known
    head = _HEAD.pack(
        _VERSION, 0 if whole else 2, kind.encode(), partly, len(values), numbers[0] if numbers else 0
    )
    return zlib.compress(head + (bytes(known) if partly else b"") + planes, _LEVEL)


def decode_column(data: bytes) -> list[float | None]:
    """
    Return the values of a column.

    :raises ValueError: it is damaged.
    """
    try:
        plain = zlib.decompressobj().decompress(data, _HEAD.size + 9 * MAX_ROWS)
        version, decimals, kind, partly, rows, first = _HEAD.unpack_from(plain)
        if version != _VERSION or rows > MAX_ROWS or kind not in (b"b", b"h", b"i", b"q"):
            raise ValueError("another encoding")
        at = _HEAD.size
        known = plain[at : at + rows] if partly else b""
        at += len(known)
        steps = array(kind.decode())
        size = steps.itemsize
        planes = plain[at : at + size * max(0, rows - 1)]
        each = len(planes) // size
        packed = bytearray(len(planes))
        for weight in range(size):
            packed[weight::size] = planes[weight * each : (weight + 1) * each]
        steps.frombytes(bytes(packed))
    except (zlib.error, struct.error, ValueError) as error:
        raise ValueError(f"a damaged column: {error}") from error
    if sys.byteorder == "big":
        steps.byteswap()
    if len(steps) != max(0, rows - 1):
        raise ValueError("a damaged column: it is cut off")
    numbers: list[float | None] = [*accumulate(steps, initial=first)] if rows else []
    if decimals:
        numbers = [value / 100 for value in numbers]  # type: ignore[operator]
    if partly:
        return [value if is_known else None for value, is_known in zip(numbers, known, strict=True)]
    return numbers


def _type_of(least: int, most: int) -> str:
    for kind, bits in (("b", 7), ("h", 15), ("i", 31)):
        if -(1 << bits) <= least and most < 1 << bits:
            return kind
    return "q"
