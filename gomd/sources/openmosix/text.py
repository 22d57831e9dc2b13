"""Parses openMosix's text files: numbers, the node id, the guests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from libgomd.errors import SourceUnavailable
from libgomd.model import MAX_NODE_ID
from libgomd.wire.text import printable, printable_bytes

#: Maximum length of a number, in digits. The largest that openMosix writes is a 64-bit size.
_MAX_DIGITS: Final = 20


def parse_number(data: bytes, what: str) -> int:
    """
    Return the first number in a file, as the kernel itself reads it.

    :param what: the file's name, for the error.
    :raises SourceUnavailable: it does not begin with a number.
    """
    words = data.split(None, 1)
    digits = words[0].removeprefix(b"-") if words else b""
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        raise SourceUnavailable(f"{what} does not begin with a number: {data[:40]!r}")
    return int(words[0])


@dataclass(frozen=True, slots=True)
class OwnId:
    """
    What ``/proc/hpc/admin/mospe`` says.

    :ivar current: this node's id, 0 when openMosix is not configured.
    :ivar previous: the id before openMosix was turned off; None if there was none.
    """

    current: int
    previous: int | None = None


def parse_own_id(data: bytes) -> OwnId:
    """
    Return the id in ``mospe``: ``1``, or ``0``, or ``0 (1)`` for a node that was turned off.

    :raises SourceUnavailable: for anything else.
    """
    current = parse_number(data, "/proc/hpc/admin/mospe")
    rest = data.split()[1:]
    previous = None
    if rest and rest[0].startswith(b"(") and rest[0].endswith(b")"):
        previous = parse_number(rest[0][1:-1], "/proc/hpc/admin/mospe, in brackets,")
    for number in (current, previous or 0):
        if not 0 <= number <= MAX_NODE_ID:
            raise SourceUnavailable(f"/proc/hpc/admin/mospe says {number}, which is no node id")
    return OwnId(current, previous)


@dataclass(frozen=True, slots=True)
class Guest:
    """
    A process of another node that runs here. It has no /proc/PID and its home counts it.

    :ivar local_pid: its number under ``/proc/hpc/remote``.
    :ivar home: id of its home node; ``home_address`` that node's address.
    :ivar pid: its process id at home.
    :ivar cpu_seconds: processor time it has used here.
    :ivar vsize: bytes of address space; ``rss`` pages in memory, as openMosix counts them.
    """

    local_pid: int
    home: int
    home_address: str
    pid: int
    uid: int
    gid: int
    pgrp: int
    session: int
    nmigs: int
    command: str
    state: str
    nice: int
    cpu_seconds: float
    vsize: int
    rss: int


def parse_guest(local_pid: int, origin: bytes, identity: bytes, stats: bytes, ticks: int) -> Guest:
    """
    Return the guest described by the files ``from``, ``identity`` and ``stats`` of one directory.

    There is one value a line; older kernels write all values on one line, separated by spaces.

    :param ticks: clock ticks in a second on the kernel that wrote them.
    :raises SourceUnavailable: a value is missing or not understood.
    """
    what = f"/proc/hpc/remote/{local_pid}"
    who, use = _values(identity), _values(stats)

    def text(values: dict[str, str], name: str) -> str:
        if name not in values:
            raise SourceUnavailable(f"{what} does not tell the {name} of the guest")
        return values[name]

    def number(values: dict[str, str], name: str) -> int:
        return parse_number(text(values, name).encode(), f"{name} in {what}")

    words = origin.split()
    if len(words) != 2:
        raise SourceUnavailable(f"{what}/from is not `NODE ADDRESS`: {origin[:40]!r}")
    return Guest(
        local_pid=local_pid,
        home=parse_number(words[0], f"{what}/from"),
        home_address=printable_bytes(words[1]),
        pid=number(who, "pid"),
        uid=number(who, "uid"),
        gid=number(who, "gid"),
        pgrp=number(who, "pgrp"),
        session=number(who, "session"),
        nmigs=number(who, "nmigs"),
        command=printable(text(who, "command")),
        state=printable(text(use, "state")),
        nice=number(use, "nice"),
        cpu_seconds=number(use, "utime") / ticks,
        vsize=number(use, "vsize"),
        rss=number(use, "rss"),
    )


def _values(data: bytes) -> dict[str, str]:
    """Return the ``name=value`` pairs; the last, ``command``, may contain spaces and "="."""
    text = data.decode("utf-8", "backslashreplace")
    before, found, command = text.partition("command=")
    pairs = (pair.partition("=") for pair in before.split())
    values = {name: value for name, sign, value in pairs if sign}
    if found:
        values["command"] = command.rstrip("\n").rstrip()
    return values
