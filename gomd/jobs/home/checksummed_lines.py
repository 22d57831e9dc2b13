"""
Lines of a journal with checksums: encodes them, and tells whole lines of any bytes from damaged ones.

A line is ``RS KEY~CHECK DIGEST [KEY,VALUE] LF``: RS is the byte 0x1e, which no JSON contains; DIGEST is of
the JSON text, CHECK of the key alone. So a damaged line is never taken for another one, two lines that have
run together are told apart, and it mostly is still known whose entry a damaged line was. Earlier versions
wrote ``[KEY,VALUE] LF``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

Value = Mapping[str, Any] | None
_RS: Final = b"\x1e"
_HEAD: Final = re.compile(rb"([0-9]{1,19})~([0-9a-f]{8}) ")
_WHOLE: Final = re.compile(rb"[0-9]{1,19}~[0-9a-f]{8} [0-9a-f]{16} \[")
_DIGEST: Final = 8


@dataclass
class Replayed:
    """
    What a journal says.

    :ivar values: the newest value of each key whose last line is whole.
    :ivar bad: number and bytes of each line that is damaged.
    :ivar damaged: keys whose last line is among those: what was before it is not what holds.
    :ivar unknown: damaged lines of which not even the key is known.
    :ivar highest: the highest key that any line names.
    :ivar old: it was written by a version without checksums.
    """

    values: dict[int, dict[str, Any]] = field(default_factory=dict)
    bad: list[tuple[int, bytes]] = field(default_factory=list)
    damaged: set[int] = field(default_factory=set)
    unknown: int = 0
    highest: int = 0
    old: bool = False

    def put(self, key: int, value: dict[str, Any] | None) -> None:
        """Take a whole line."""
        self.highest = max(self.highest, key)
        self.damaged.discard(key)
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value

    def damage(self, line: int, data: bytes, key: int | None) -> None:
        """Take a damaged one."""
        self.bad.append((line, data))
        if key is None:
            self.unknown += 1
        else:
            self.highest = max(self.highest, key)
            self.damaged.add(key)
            self.values.pop(key, None)


def encode(key: int, value: Value) -> bytes:
    """Return the line of one entry; None for the value forgets it."""
    text = json.dumps([key, value], separators=(",", ":")).encode("ascii")
    return b"\x1e%d~%s %s %s\n" % (key, _check(b"%d" % key), _digest(text), text)


def replay(data: bytes) -> Replayed:
    """
    Return what the lines in ``data`` say. Never raises.

    What a crash has torn off at the end was never acted on: it is passed over, and is not damaged.
    """
    found = Replayed()
    if _RS not in data:
        return _replay_old(data)
    line = 1
    first, *pieces = data.split(_RS)
    if first:
        _take(found, first[1:], line, False)
        line += first.count(b"\n")
    for at, piece in enumerate(pieces):
        _take(found, piece, line, at == len(pieces) - 1)
        line += piece.count(b"\n")
    return found


def _take(found: Replayed, piece: bytes, line: int, last: bool) -> None:
    """Take what stands behind one RS: a line, or more when an RS is damaged."""
    parts = piece.split(b"\n")
    if len(parts) == 1:  # the end of the line is damaged, or it is the torn last one
        whole = piece if _entry(piece) is not None else piece[:-1]
        if not last or _entry(whole) is not None:
            _take_line(found, whole, line)
        elif (key := _key(piece)) is not None:
            found.highest = max(found.highest, key)
        return
    torn = parts.pop()
    for number, part in enumerate(parts):
        if part or number == 0:
            _take_line(found, part if number == 0 else part[1:], line + number)
    if torn and not last:
        found.damage(line + len(parts), torn, None)


def _take_line(found: Replayed, text: bytes, line: int) -> None:
    """Take a line without its RS and its end. One that says an entry may be what is left of two."""
    entry, key = _entry(text), _key(text)
    if entry is None or key != entry[0] or not _WHOLE.match(text):
        found.damage(line, text, key)
    if entry is not None:
        found.put(*entry)


def _entry(text: bytes) -> tuple[int, dict[str, Any] | None] | None:
    """Return the entry that a line says, None when it is damaged."""
    before, space, rest = text.partition(b" [")
    if not space or before[-2 * _DIGEST :] != _digest(payload := b"[" + rest):
        return None
    return _decode(payload)


def _decode(payload: bytes) -> tuple[int, dict[str, Any] | None] | None:
    try:
        key, value = json.loads(payload)
    except (ValueError, TypeError, RecursionError):
        return None
    if isinstance(key, bool) or not isinstance(key, int) or not (value is None or isinstance(value, dict)):
        return None
    return key, value


def _key(text: bytes) -> int | None:
    """Return whose entry a damaged line was, None when that is damaged too."""
    head = _HEAD.match(text)
    return int(head[1]) if head is not None and head[2] == _check(head[1]) else None


def _replay_old(data: bytes) -> Replayed:
    """Read what a version without checksums wrote. A line that is no entry is damaged."""
    found = Replayed(old=bool(data))
    *lines, _torn = data.split(b"\n")
    for number, text in enumerate(lines, 1):
        entry = _decode(text)
        if entry is not None or (text and (entry := _entry(text[1:])) is not None):
            found.put(*entry)
        elif text:
            found.damage(number, text, _key(text[1:]))
    return found


def _check(key: bytes) -> bytes:
    return blake2b(key, digest_size=4).hexdigest().encode("ascii")


def _digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=_DIGEST).hexdigest().encode("ascii")
