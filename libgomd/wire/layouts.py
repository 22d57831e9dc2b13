"""
The fields of each kind of message on the wire: types, ranges and order.

One table serves for encoding and decoding; docs/wire.md has the same in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import le
from typing import Any, Final, NamedTuple

from libgomd.model import MAX_NODE_ID
from libgomd.wire.addresses import pack, unpack
from libgomd.wire.messages import (
    MAX_ADDRESSES,
    MAX_NAME,
    MAX_NOTES,
    MAX_NUMBER,
    MAX_QUESTION_PATH,
    MAX_REASON,
    MIN_ROOM,
    Addresses,
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
    ReplayWarning,
    Roster,
    Summary,
    TrueSpeed,
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


Values = tuple[Any, ...]


class Layout(NamedTuple):
    """
    The values of one kind on the wire: numbers first, so that their ranges are checked in one go.

    :ivar lows: smallest values of the leading numbers; ``highs`` the largest.
    :ivar types: the exact type of each value. :ivar unknown: from which to which index null is allowed.
    :ivar rule: raises ValueError for what the table cannot say; None when it says all.
    :ivar read: the message in the values of a packet of so many bytes. :ivar write: its fields.
    """

    kind: int
    lows: tuple[int, ...]
    highs: tuple[int, ...]
    types: list[type]
    rule: Callable[[Values], None] | None
    read: Callable[[Values, int], Message]
    write: Callable[[Any], Values]
    unknown: tuple[int, int]


#: Kind, sender, instance, sent_at and sequence come before the fields.
ENVELOPE: Final = 5


def _layout(
    kind: int,
    numbers: Sequence[tuple[int, int]],
    others: Sequence[type],
    read: Callable[[Values, int], Message],
    write: Callable[[Any], Values] = tuple,
    rule: Callable[[Values], None] | None = None,
    unknown: tuple[int, int] = (-ENVELOPE, -ENVELOPE),
    sender: tuple[int, int] = _NODE,
) -> Layout:
    """Return the layout of ``kind``: its numbers with their ranges, then its other fields."""
    ranges = ((kind, kind), sender, _NUMBER, _NUMBER, (1, MAX_NUMBER), *numbers)
    lows, highs = zip(*ranges, strict=True)
    types = [*(int,) * len(ranges), *others]
    nullable = (unknown[0] + ENVELOPE, unknown[1] + ENVELOPE)
    return Layout(kind, lows, highs, types, rule, read, write, nullable)


@lru_cache(maxsize=4096)
def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or not name.isprintable() or len(name.encode()) > MAX_NAME:
        raise ValueError(f"a name has 1 to {MAX_NAME} printable bytes and no space")


def _check_text(text: str, limit: int) -> None:
    if len(text) > limit or not text.isprintable() or len(text.encode()) > limit:
        raise ValueError(f"a text has at most {limit} printable bytes")


_NOTE_RANGES = (_NODE, _STATE, _NUMBER, _SMALL, _PORT, (b"", b"\xff" * 16))
_NOTE_LOWS, _NOTE_HIGHS = zip(*_NOTE_RANGES, strict=True)
_NOTE_TYPES = [*map(type, _NOTE_LOWS)]
_STATES = {int(state): state for state in MemberState}


def _check_notes(fields: Values) -> None:
    """The notes stand one behind the other in ``fields``, six fields each."""
    count = len(fields) // len(_NOTE_TYPES)
    if count > MAX_NOTES:
        raise ValueError(f"at most {MAX_NOTES} notes")
    if [*map(type, fields)] != _NOTE_TYPES * count:
        raise ValueError("a note is five numbers and an address")
    if not (all(map(le, _NOTE_LOWS * count, fields)) and all(map(le, fields, _NOTE_HIGHS * count))):
        raise ValueError("a number in a note is out of range")


def _read_notes(fields: Values) -> tuple[MemberNote, ...]:
    each = iter(fields)
    return tuple(
        MemberNote(node, _STATES[state], instance, incarnation, port, unpack(address))
        for node, state, instance, incarnation, port, address in zip(*[each] * 6, strict=True)
    )


def _write_notes(notes: tuple[MemberNote, ...]) -> Values:
    fields: list[Any] = []
    for node, state, instance, incarnation, port, address in notes:
        fields += (node, int(state), instance, incarnation, port, pack(address))
    return tuple(fields)


def _heartbeat_rule(values: Values) -> None:
    _check_name(values[18])
    if values[20]:
        _check_notes(values[20])


def _read_heartbeat(values: Values, _length: int) -> Heartbeat:
    notes = _read_notes(values[20]) if values[20] else ()
    return Heartbeat._make((*values[ENVELOPE:19], unpack(values[19]), notes))


def _write_heartbeat(message: Heartbeat) -> Values:
    notes = _write_notes(message.notes) if message.notes else ()
    return (*message[:14], pack(message.address), notes)


def _question_rule(values: Values) -> None:
    path, padding = values[8:]
    if path:
        _check_path(path)
        if values[6]:
            raise ValueError("either a path or the node of a summary")
    if padding.count(0) != len(padding):
        raise ValueError("padding is zero bytes")


@lru_cache(maxsize=4096)
def _check_path(path: str) -> None:
    if not path.startswith("/"):
        raise ValueError("a path begins with a slash")
    _check_text(path, MAX_QUESTION_PATH)


def _read_question(values: Values, length: int) -> Question:
    if length < MIN_ROOM:
        raise ValueError(f"a question of {length} bytes, the least is {MIN_ROOM}")
    return Question(values[5], values[8], values[6], values[7], length)


def _write_question(question: Question) -> Values:
    return (question.request_id, question.node, question.target, question.path, b"")


def _answer_rule(values: Values) -> None:
    if values[7] < len(values[8]):
        raise ValueError("the size of an answer is less than its data")


def _read_summary(values: Values, _length: int) -> Summary:
    return Summary._make((*values[ENVELOPE:17], unpack(values[17])))


def _write_summary(message: Summary) -> Values:
    return (*message[:12], pack(message.address))


def _read_indirect(values: Values, _length: int) -> IndirectProbe:
    return IndirectProbe(values[5], values[6], values[7], unpack(values[8]))


def _write_indirect(message: IndirectProbe) -> Values:
    return (*message[:3], pack(message.address))


def _read_notice(values: Values, _length: int) -> Notice:
    return Notice(_STATES[values[5]], *values[6:])


def _write_notice(message: Notice) -> Values:
    return (int(message.state), *message[1:])


def _read_roster(values: Values, _length: int) -> Roster:
    return Roster(values[5], _read_notes(values[6]))


def _write_roster(message: Roster) -> Values:
    return (message.total, _write_notes(message.notes))


def _addresses_rule(values: Values) -> None:
    found = values[6]
    if not 1 <= len(found) <= MAX_ADDRESSES or not all(type(each) is bytes for each in found):
        raise ValueError(f"1 to {MAX_ADDRESSES} addresses")


def _read_addresses(values: Values, _length: int) -> Addresses:
    return Addresses(values[5], tuple(map(unpack, values[6])))


def _write_addresses(message: Addresses) -> Values:
    return (message.port, tuple(map(pack, message.addresses)))


LAYOUTS: Final[dict[type, Layout]] = {
    Heartbeat: _layout(
        1, (_SMALL, _PORT, _PORT_OR_NONE, _STATUS, _NUMBER, *_VALUES), (bool, str, bytes, tuple),
        _read_heartbeat, _write_heartbeat, _heartbeat_rule, unknown=(4, 12),
    ),
    Leave: _layout(
        2, (_SMALL,), (str,), lambda values, _: Leave(values[5], values[6]),
        rule=lambda values: _check_text(values[6], MAX_REASON),
    ),
    Question: _layout(
        3, (_NUMBER, _NODE_OR_NONE, _NODE_OR_NONE), (str, bytes), _read_question, _write_question,
        _question_rule, sender=_NODE_OR_NONE,
    ),
    Answer: _layout(
        4, (_NUMBER, (200, 599), _SMALL), (bytes,), lambda values, _: Answer(*values[ENVELOPE:]),
        rule=_answer_rule,
    ),
    Summary: _layout(
        5, (_NUMBER, _NODE, _STATUS, _NUMBER, *_VALUES), (str, bytes), _read_summary, _write_summary,
        lambda values: _check_name(values[16]), unknown=(3, 11),
    ),
    Probe: _layout(
        6, (_NUMBER, _NODE_OR_NONE), (), lambda values, _: Probe(values[5], values[6]), sender=_NODE_OR_NONE
    ),
    ProbeAck: _layout(
        7, (_NUMBER, _NODE, _NUMBER, _SMALL), (bool,), lambda values, _: ProbeAck(*values[ENVELOPE:])
    ),
    IndirectProbe: _layout(8, (_NUMBER, _NODE, _PORT), (bytes,), _read_indirect, _write_indirect),
    Notice: _layout(
        9, (_STATE, _NODE, _NUMBER, _SMALL, _NODE), (str,), _read_notice, _write_notice,
        lambda values: _check_text(values[10], MAX_REASON),
    ),
    Roster: _layout(
        10, (_SMALL,), (tuple,), _read_roster, _write_roster, lambda values: _check_notes(values[6])
    ),
    ClockWarning: _layout(
        11, (_NUMBER, (1, MAX_NUMBER), _NUMBER), (str,), lambda values, _: ClockWarning(*values[ENVELOPE:]),
        rule=lambda values: _check_name(values[8]),
    ),
    ReplayWarning: _layout(
        12, (_NUMBER, (1, MAX_NUMBER), _NUMBER), (str,), lambda values, _: ReplayWarning(*values[ENVELOPE:]),
        rule=lambda values: _check_name(values[8]),
    ),
    TrueSpeed: _layout(13, ((1, 2**32 - 1),), (), lambda values, _: TrueSpeed(values[5])),
    Addresses: _layout(14, (_PORT,), (tuple,), _read_addresses, _write_addresses, _addresses_rule),
}  # fmt: skip
BY_KIND: Final = {layout.kind: layout for layout in LAYOUTS.values()}


def check(layout: Layout, values: Values) -> None:
    """Check that ``values``, envelope and fields, match ``layout``. :raises ValueError: they do not."""
    known: Sequence[Any] = values
    if [*map(type, values)] != layout.types:
        first, last = layout.unknown
        known = [
            0 if value is None and first <= index < last else value for index, value in enumerate(values)
        ]
        if [*map(type, known)] != layout.types:
            raise ValueError(f"the fields of kind {layout.kind} are not of their types")
    # Both end with the shorter of the two, which is the last number.
    if not (all(map(le, layout.lows, known)) and all(map(le, known, layout.highs))):
        raise ValueError(f"a number of kind {layout.kind} is out of range")
    if layout.rule is not None:
        layout.rule(values)
