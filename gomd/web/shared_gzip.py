"""
Compresses a message once for all streams that send it.

Theory of operation. A gzip stream is a header, deflate blocks, and a trailer with the CRC-32 and the length
of everything. A block that begins on a byte and refers to nothing before it fits into any stream, so the long
part of a message is compressed once (ended by a full flush), and each stream adds what differs as a stored
block. The CRC of a whole stream is combined from those of its parts (zlib's crc32_combine).
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Final

#: No file name, no time: RFC 1952.
HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_MAX_STORED: Final = 65535
_POLYNOMIAL: Final = 0xEDB88320


class SharedText:
    """
    A text that many streams send.

    :ivar plain: its bytes. :ivar crc: their CRC-32.
    """

    __slots__ = ("_packed", "crc", "plain")

    def __init__(self, text: str) -> None:
        self.plain = text.encode()
        self.crc = 0
        self._packed: bytes | None = None

    @property
    def packed(self) -> bytes:
        """Its deflate blocks, made when the first stream needs them: a millisecond for 100 KB."""
        if self._packed is None:
            compressor = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
            self._packed = compressor.compress(self.plain) + compressor.flush(zlib.Z_FULL_FLUSH)
            self.crc = zlib.crc32(self.plain)
        return self._packed


class GzipStream:
    """One gzip stream that is put together from shared and own parts."""

    def __init__(self) -> None:
        self._crc = 0
        self._length = 0

    def own(self, data: bytes) -> bytes:
        """Return the blocks for ``data``, which only this stream sends. They are not compressed."""
        self._crc = zlib.crc32(data, self._crc)
        self._length += len(data)
        blocks = []
        for start in range(0, len(data), _MAX_STORED):
            part = data[start : start + _MAX_STORED]
            size = len(part)
            blocks.append(b"\x00" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + part)
        return b"".join(blocks)

    def shared(self, text: SharedText) -> bytes:
        """Return the blocks for ``text``."""
        packed = text.packed
        self._crc = _combined(self._crc, text.crc, len(text.plain))
        self._length += len(text.plain)
        return packed

    def end(self) -> bytes:
        """Return the last block and the trailer."""
        length = (self._length & 0xFFFFFFFF).to_bytes(4, "little")
        return b"\x03\x00" + self._crc.to_bytes(4, "little") + length


def _combined(first: int, second: int, length: int) -> int:
    """Return the CRC-32 of two parts, the second of which has ``length`` bytes."""
    return _times(_shift(length), first) ^ second


def _times(matrix: tuple[int, ...], vector: int) -> int:
    total, at = 0, 0
    while vector:
        if vector & 1:
            total ^= matrix[at]
        vector >>= 1
        at += 1
    return total


@lru_cache(maxsize=64)
def _shift(length: int) -> tuple[int, ...]:
    """Return the matrix over GF(2) that appends ``length`` zero bytes to what a CRC is of."""
    power = (_POLYNOMIAL, *(1 << at for at in range(31)))  # one zero bit
    for _ in range(3):
        power = tuple(_times(power, row) for row in power)  # one zero byte
    result = tuple(1 << at for at in range(32))
    while length:
        if length & 1:
            result = tuple(_times(power, row) for row in result)
        length >>= 1
        power = tuple(_times(power, row) for row in power)
    return result
