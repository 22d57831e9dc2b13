"""
Scans of processes as bytes: what changes from scan to scan, for the processes that use most. No I/O.

A scan is a moment and a row for each process. What hardly changes, such as its command, stands once in the
table ``processes``, under the number that begins its row here.
"""

from __future__ import annotations

import heapq
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from gomd.history.moments import ScannedRow
from libgomd.model import Process

#: Number of processes of one scan that are kept with their values; of them, those kept for their memory.
KEPT_PROCESSES: Final = 50
KEPT_FOR_MEMORY: Final = 15

_HEAD: Final = struct.Struct("<dBH")
_ROW: Final = struct.Struct("<IiqqqihcqqB")
_NO_NICE: Final = 32767
_LOCK, _STUCK = 1, 2
_MAX_BLOCK: Final = 64 << 20


class Scan(NamedTuple):
    """One scan. :ivar hidden: whether the node hid the processes of others then."""

    time: float
    hidden: bool
    rows: Sequence[ScannedRow]


def busiest(processes: Sequence[Process], count: int, for_memory: int) -> list[Process]:
    """Return ``count`` processes: the ``for_memory`` largest, and those that use most processor time."""
    if len(processes) <= count:
        return list(processes)
    largest = heapq.nlargest(for_memory, processes, key=lambda process: process.rss or 0)
    taken = {process.identity for process in largest}
    rest = (process for process in processes if process.identity not in taken)
    return [*heapq.nsmallest(count - len(largest), rest, key=_idleness), *largest]


def _idleness(process: Process) -> tuple[float, float, int]:
    return -(process.cpu_percent or 0.0), -(process.cpu_seconds or 0.0), process.pid


def encode_scan(time: float, hidden: bool, rows: Sequence[tuple[int, Process]]) -> bytes:
    """Return a scan. :param rows: the number of each process in the table ``processes``, and the process."""
    return _HEAD.pack(time, hidden, len(rows)) + b"".join(_row(number, each) for number, each in rows)


def _row(number: int, process: Process) -> bytes:
    flags = _LOCK * process.lock | _STUCK * process.stuck
    state = process.state[:1].encode("ascii", "replace") or b"?"
    return _ROW.pack(
        number, _scaled(process.cpu_percent, 1 << 30), _scaled(process.cpu_seconds, 1 << 60),
        _or_none(process.rss), _or_none(process.vsize), _or_none(process.threads, 1 << 30),
        _NO_NICE if process.nice is None else process.nice, state, _or_none(process.read_rate),
        _or_none(process.write_rate), flags,
    )  # fmt: skip


def _scaled(value: float | None, most: int) -> int:
    return -1 if value is None or value < 0 else min(round(value * 100), most)


def _or_none(value: float | None, most: int = 1 << 62) -> int:
    return -1 if value is None or value < 0 else min(int(value), most)


def join_scans(scans: Sequence[bytes]) -> bytes:
    """Return several scans as one compressed block."""
    return zlib.compress(b"".join(scans), 6)


def scans_in(block: bytes) -> Iterator[Scan]:
    """Yield the scans of a compressed block. :raises ValueError: it is damaged."""
    try:
        data = zlib.decompressobj().decompress(block, _MAX_BLOCK)
    except zlib.error as error:
        raise ValueError(f"a damaged block of scans: {error}") from error
    yield from decode_scans(data)


def decode_scans(data: bytes) -> Iterator[Scan]:
    """Yield the scans in ``data``, one after the other. :raises ValueError: it is damaged."""
    at = 0
    try:
        while at < len(data):
            time, hidden, count = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            end = at + count * _ROW.size
            rows = [_row_in(each) for each in _ROW.iter_unpack(data[at:end])]
            if len(rows) != count:
                raise ValueError("it is cut off")
            yield Scan(time, bool(hidden), rows)
            at = end
    except struct.error as error:
        raise ValueError(f"a damaged scan: {error}") from error


def last_before(data: bytes, moment: float) -> Scan | None:
    """Return the last scan in ``data`` that is not later than ``moment``. :raises ValueError: damaged."""
    at, found = 0, -1
    try:
        while at < len(data):
            time, _hidden, count = _HEAD.unpack_from(data, at)
            if time <= moment:
                found = at
            at += _HEAD.size + count * _ROW.size
        if found < 0:
            return None
        return next(decode_scans(data[found : found + _HEAD.size + _count(data, found) * _ROW.size]))
    except struct.error as error:
        raise ValueError(f"a damaged scan: {error}") from error


def plain(block: bytes) -> bytes:
    """Return the scans of a compressed block, for `last_before`. :raises ValueError: it is damaged."""
    try:
        return zlib.decompressobj().decompress(block, _MAX_BLOCK)
    except zlib.error as error:
        raise ValueError(f"a damaged block of scans: {error}") from error


def _count(data: bytes, at: int) -> int:
    count: int = _HEAD.unpack_from(data, at)[2]
    return count


def _row_in(packed: tuple[int, ...]) -> ScannedRow:
    number, cpu, used, rss, vsize, threads, nice, state, read, written, flags = packed
    return ScannedRow(
        number, _known(cpu, 100), _known(used, 100), _none_if(rss), _none_if(vsize), _none_if(threads),
        None if nice == _NO_NICE else nice, bytes(state).decode("ascii", "replace"),
        None if read < 0 else float(read), None if written < 0 else float(written),
        bool(flags & _LOCK), bool(flags & _STUCK),
    )  # fmt: skip


def _known(value: int, scale: int) -> float | None:
    return None if value < 0 else value / scale


def _none_if(value: int) -> int | None:
    return None if value < 0 else value
