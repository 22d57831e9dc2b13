"""
What the fields of each kind of message are on the wire: their types, their ranges, their order.

One table for writing and for reading; docs/wire.md says the same in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import le
from typing import Any, Final, NamedTuple

from libgomd.model import MAX_NODE_ID
from libgomd.wire.messages import (
    MAX_NAME,
    MAX_NOTES,
    MAX_NUMBER,
    MAX_QUESTION_PATH,
    MAX_REASON,
    Answer,
    ClockWarning,
    Heartbeat,
    IndirectProbe,
    Leave,
    MemberNote,
    MemberState,
    Message,
    Notice,
    Probe,
    ProbeAck,
    Question,
    Roster,
    Summary,
)

#: The ranges of numbers.
_NUMBER = (0, MAX_NUMBER)
_SMALL = (0, 2**32 - 1)
_NODE, _NODE_OR_NONE = (1, MAX_NODE_ID), (0, MAX_NODE_ID)
_PORT, _PORT_OR_NONE = (1, 65535), (0, 65535)
_STATUS = (0, 65535)
_STATE = (int(min(MemberState)), int(max(MemberState)))
#: load, speed, cpus, util, mem, rmem, tmem: what heartbeats and summaries share.
_VALUES = (_SMALL, _SMALL, (0, 65535), _SMALL, _NUMBER, _NUMBER, _NUMBER)
_NAME = re.compile(r"[^\s\x00-\x1f\x7f]+")


class Layout(NamedTuple):
    """
    The values of one kind on the wire: numbers first, so that their ranges are checked in one go.

    :ivar lows: smallest values of the leading numbers; ``highs`` the largest.
    :ivar types: the exact type of each value. :ivar unknown: from which to which index null is allowed.
    :ivar read: the message of the fields; raises ValueError for what the table cannot say.
    :ivar write: the fields of a message.
    """

    kind: int
    lows: tuple[int, ...]
    highs: tuple[int, ...]
    types: list[type]
    read: Callable[[tuple[Any, ...]], Message]
    write: Callable[[Any], tuple[Any, ...]]
    unknown: tuple[int, int]


#: Kind, sender, instance, sent_at and sequence come before the fields.
ENVELOPE: Final = 5


def _layout(
    kind: int,
    numbers: Sequence[tuple[int, int]],
    others: Sequence[type],
    read: Callable[[tuple[Any, ...]], Message],
    write: Callable[[Any], tuple[Any, ...]] = tuple,
    unknown: tuple[int, int] = (-ENVELOPE, -ENVELOPE),
    sender: tuple[int, int] = _NODE,
) -> Layout:
    """Return the layout of ``kind``: its numbers with their ranges, then what else there is."""
    ranges = ((kind, kind), sender, _NUMBER, _NUMBER, (1, MAX_NUMBER), *numbers)
    lows, highs = zip(*ranges, strict=True)
    types = [*(int,) * len(ranges), *others]
    return Layout(kind, lows, highs, types, read, write, (unknown[0] + ENVELOPE, unknown[1] + ENVELOPE))


@lru_cache(maxsize=4096)
def _address_of(packed: bytes) -> str:
    if len(packed) != 4:
        raise ValueError("an address is 4 bytes")
    return ".".join(map(str, packed))


@lru_cache(maxsize=4096)
def _packed(address: str) -> bytes:
    parts = address.split(".")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts):
        raise ValueError(f"{address!r} is no IPv4 address")
    return bytes(map(int, parts))


@lru_cache(maxsize=4096)
def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or not name.isprintable() or len(name.encode()) > MAX_NAME:
        raise ValueError(f"a name has 1 to {MAX_NAME} printable bytes and no space")


def _check_text(text: str, limit: int) -> None:
    if len(text) > limit or not text.isprintable() or len(text.encode()) > limit:
        raise ValueError(f"a text has at most {limit} printable bytes")


_NOTE_RANGES = (_NODE, _STATE, _NUMBER, _SMALL, _PORT, (b"", b"\xff\xff\xff\xff"))
_NOTE_LOWS, _NOTE_HIGHS = zip(*_NOTE_RANGES, strict=True)
_NOTE_TYPES = tuple(map(type, _NOTE_LOWS))
_STATES = {int(state): state for state in MemberState}


def _read_notes(fields: tuple[Any, ...]) -> tuple[MemberNote, ...]:
    """Return the notes that stand one behind the other in ``fields``, six fields each."""
    count = len(fields) // len(_NOTE_TYPES)
    if count > MAX_NOTES:
        raise ValueError(f"at most {MAX_NOTES} notes")
    if tuple(map(type, fields)) != _NOTE_TYPES * count:
        raise ValueError("a note is five numbers and an address")
    if not (all(map(le, _NOTE_LOWS * count, fields)) and all(map(le, fields, _NOTE_HIGHS * count))):
        raise ValueError("a number in a note is out of range")
    each = iter(fields)
    return tuple(
        MemberNote(node, _STATES[state], instance, incarnation, port, _address_of(address))
        for node, state, instance, incarnation, port, address in zip(*[each] * 6, strict=True)
    )


def _write_notes(notes: tuple[MemberNote, ...]) -> tuple[Any, ...]:
    fields: list[Any] = []
    for node, state, instance, incarnation, port, address in notes:
        fields += (node, int(state), instance, incarnation, port, _packed(address))
    return tuple(fields)


def _read_heartbeat(fields: tuple[Any, ...]) -> Heartbeat:
    _check_name(fields[13])
    notes = _read_notes(fields[15]) if fields[15] else ()
    return Heartbeat._make((*fields[:14], _address_of(fields[14]), notes))


def _write_heartbeat(message: Heartbeat) -> tuple[Any, ...]:
    notes = _write_notes(message.notes) if message.notes else ()
    return (*message[:14], _packed(message.address), notes)


def _read_leave(fields: tuple[Any, ...]) -> Leave:
    _check_text(fields[1], MAX_REASON)
    return Leave._make(fields)


def _read_question(fields: tuple[Any, ...]) -> Question:
    request_id, node, target, path, padding = fields
    _check_path(path)
    if path and node:
        raise ValueError("either a path or the node of a summary")
    if padding.count(0) != len(padding):
        raise ValueError("padding is zero bytes")
    return Question(request_id, path, node, target)


def _write_question(question: Question) -> tuple[Any, ...]:
    return (question.request_id, question.node, question.target, question.path, b"")


@lru_cache(maxsize=4096)
def _check_path(path: str) -> None:
    if path and not path.startswith("/"):
        raise ValueError("a path begins with a slash")
    _check_text(path, MAX_QUESTION_PATH)


def _read_answer(fields: tuple[Any, ...]) -> Answer:
    if fields[2] < len(fields[3]):
        raise ValueError("the size of an answer is less than its data")
    return Answer._make(fields)


def _read_summary(fields: tuple[Any, ...]) -> Summary:
    _check_name(fields[11])
    return Summary._make((*fields[:12], _address_of(fields[12])))


def _write_summary(message: Summary) -> tuple[Any, ...]:
    return (*message[:12], _packed(message.address))


def _read_indirect(fields: tuple[Any, ...]) -> IndirectProbe:
    return IndirectProbe._make((*fields[:3], _address_of(fields[3])))


def _write_indirect(message: IndirectProbe) -> tuple[Any, ...]:
    return (*message[:3], _packed(message.address))


def _read_notice(fields: tuple[Any, ...]) -> Notice:
    _check_text(fields[5], MAX_REASON)
    return Notice(_STATES[fields[0]], *fields[1:])


def _write_notice(message: Notice) -> tuple[Any, ...]:
    return (int(message.state), *message[1:])


def _read_roster(fields: tuple[Any, ...]) -> Roster:
    return Roster(fields[0], _read_notes(fields[1]))


def _write_roster(message: Roster) -> tuple[Any, ...]:
    return (message.total, _write_notes(message.notes))


def _read_warning(fields: tuple[Any, ...]) -> ClockWarning:
    _check_name(fields[3])
    return ClockWarning._make(fields)


LAYOUTS: Final[dict[type, Layout]] = {
    Heartbeat: _layout(
        1, (_SMALL, _PORT, _PORT_OR_NONE, _STATUS, _NUMBER, *_VALUES), (bool, str, bytes, tuple),
        _read_heartbeat, _write_heartbeat, unknown=(4, 12),
    ),
    Leave: _layout(2, (_SMALL,), (str,), _read_leave),
    Question: _layout(
        3, (_NUMBER, _NODE_OR_NONE, _NODE_OR_NONE), (str, bytes), _read_question, _write_question,
        sender=_NODE_OR_NONE,
    ),
    Answer: _layout(4, (_NUMBER, (200, 599), _SMALL), (bytes,), _read_answer),
    Summary: _layout(
        5, (_NUMBER, _NODE, _STATUS, _NUMBER, *_VALUES), (str, bytes),
        _read_summary, _write_summary, unknown=(3, 11),
    ),
    Probe: _layout(6, (_NUMBER, _NODE_OR_NONE), (), Probe._make, sender=_NODE_OR_NONE),
    ProbeAck: _layout(7, (_NUMBER, _NODE, _NUMBER, _SMALL), (bool,), ProbeAck._make),
    IndirectProbe: _layout(8, (_NUMBER, _NODE, _PORT), (bytes,), _read_indirect, _write_indirect),
    Notice: _layout(9, (_STATE, _NODE, _NUMBER, _SMALL, _NODE), (str,), _read_notice, _write_notice),
    Roster: _layout(10, (_SMALL,), (tuple,), _read_roster, _write_roster),
    ClockWarning: _layout(11, (_NUMBER, (1, MAX_NUMBER), _NUMBER), (str,), _read_warning),
}  # fmt: skip
BY_KIND: Final = {layout.kind: layout for layout in LAYOUTS.values()}


def checked(layout: Layout, values: tuple[Any, ...]) -> Message:
    """Return the message in ``values``, envelope and fields of a body. :raises ValueError: it is none."""
    known = values
    if [*map(type, values)] != layout.types:
        first, last = layout.unknown
        known = tuple(
            0 if value is None and first <= index < last else value for index, value in enumerate(values)
        )
        if [*map(type, known)] != layout.types:
            raise ValueError(f"the fields of kind {layout.kind} are not of their types")
    # Both end with the shorter of the two, which is the last number.
    if not (all(map(le, layout.lows, known)) and all(map(le, known, layout.highs))):
        raise ValueError(f"a number of kind {layout.kind} is out of range")
    return layout.read(values[ENVELOPE:])
