"""The rows of replies that describe neither a node nor a process: events, counters, output, help."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar, Final


class EventKind(str, enum.Enum):
    """The kinds of events in a cluster."""

    JOIN = "join"
    LEAVE = "leave"
    DOWN = "down"
    UP = "up"
    SUSPECT = "suspect"
    MIGRATED = "migrated"
    STARTED = "started"
    ENDED = "ended"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Event:
    """
    Something that happened to a node or a process.

    :ivar time: when this daemon learnt of it.
    :ivar node: id of the node that it happened to; ``name``: the name of that node.
    :ivar reason: a sentence for a person.
    :ivar by: id of the node that reported it.
    :ivar uid: the user whose process it is about; None for no process. It never leaves the daemon.
    :ivar seconds: that a job's move took, as told by the node that it left; ``stopped_seconds`` those that it
        stood still, ``bytes`` those that were sent, ``precopied`` those of memory that were sent before it
        stood still. None for anything else, and where it is not known.
    """

    JSON: ClassVar[tuple[str, ...]] = (
        "time", "kind", "node", "name", "reason", "by", "seconds", "stopped_seconds", "bytes",
        "precopied",
    )  # fmt: skip

    time: float
    kind: EventKind
    node: int
    name: str
    reason: str
    by: int
    uid: int | None = None
    seconds: float | None = None
    stopped_seconds: float | None = None
    bytes: int | None = None
    precopied: int | None = None


@dataclass(frozen=True, slots=True)
class Counter:
    """One line of `stats`: the name of the counter, its value, and its meaning in a few words."""

    JSON: ClassVar[tuple[str, ...]] = ("name", "value", "meaning")

    name: str
    value: int | float | str
    meaning: str


class FindingState(str, enum.Enum):
    """How bad a finding of `doctor` is: nothing is wrong, something may go wrong, something is wrong."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    What `doctor` found out about one subject on one node.

    :ivar check: the subject in one word, such as ``criu``. :ivar text: a clause for a person.
    :ivar mend: what mends it: a command, or a sentence that says what to do; empty when nothing is wrong.
    :ivar value: a number for programs; seconds since the epoch for ``clock``, bytes for disks, memory and
        ``mtu``.
    """

    JSON: ClassVar[tuple[str, ...]] = ("check", "state", "text", "mend", "value")

    check: str
    state: FindingState
    text: str
    mend: str = ""
    value: float | None = None


#: The switches of a node, and characters of the reason that an admin gives for one.
SWITCHES: Final = ("stay", "lstay", "block", "quiet")
MAX_REASON: Final = 200


@dataclass(frozen=True, slots=True)
class Switch:
    """
    One switch of a node, as `switches` lists it.

    :ivar set: whether it is set. :ivar since: seconds since the epoch when it was set or cleared.
    :ivar by: the user who did it. :ivar reason: what they said it is for. None for what is not known.
    """

    JSON: ClassVar[tuple[str, ...]] = ("switch", "set", "since", "by", "reason")

    switch: str
    set: bool
    since: float | None = None
    by: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """
    A line that a command of `[commands]` printed, or its exit status.

    :ivar line: a line of its output, without the line end; None in the last value.
    :ivar exit: its exit status, in the last value only: 128 + the number of the signal if one ended it.
        None in all other values.
    """

    JSON: ClassVar[tuple[str, ...]] = ("line", "exit")

    line: str | None = None
    exit: int | None = None


@dataclass(frozen=True, slots=True)
class Name:
    """One name in a directory of the tree."""

    JSON: ClassVar[tuple[str, ...]] = ("name",)

    name: str


@dataclass(frozen=True, slots=True)
class VerbHelp:
    """
    What `help` says about one verb.

    :ivar usage: its syntax, such as ``where PID [NODE]``. :ivar role: the lowest role that may use it.
    :ivar fields: the JSON names in its rows; empty for a verb that answers with one line.
    """

    JSON: ClassVar[tuple[str, ...]] = ("verb", "usage", "role", "summary", "fields")

    verb: str
    usage: str
    role: str
    summary: str
    fields: tuple[str, ...] = ()
