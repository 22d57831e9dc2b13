"""Parses /proc/PID/status. Reading that file never waits for a lock that an exec may hold."""

from __future__ import annotations

from typing import Final, NamedTuple

from libgomd.errors import SourceUnavailable

#: A number of 64 bits has no more digits.
_DIGITS: Final = 20


class PidStatus(NamedTuple):
    """
    The used fields of a process's status.

    :ivar name: as the kernel escapes it. :ivar uid: effective. :ivar vsize: bytes, 0 without memory of its
        own; ``rss`` likewise.
    """

    pid: int
    name: bytes
    state: str
    ppid: int
    uid: int
    threads: int | None
    vsize: int
    rss: int


def parse_pid_status(data: bytes) -> PidStatus:
    """
    Return the fields of ``data``, a /proc/PID/status.

    :raises SourceUnavailable: for any other bytes, and nothing else.
    """
    fields: dict[bytes, bytes] = {}
    for line in data.split(b"\n"):
        name, found, value = line.partition(b":")
        if found:
            fields.setdefault(name, value.strip())
    try:
        state = fields[b"State"][:1].decode("ascii")
        if not state.isalpha():
            raise ValueError(f"state {state!r}")
        return PidStatus(
            pid=_number(fields[b"Pid"]),
            name=fields[b"Name"],
            state=state,
            ppid=_number(fields[b"PPid"]),
            uid=_number(fields[b"Uid"].split()[1]),
            threads=_number(fields[b"Threads"]) if b"Threads" in fields else None,
            vsize=_kilobytes(fields.get(b"VmSize")),
            rss=_kilobytes(fields.get(b"VmRSS")),
        )
    except (KeyError, IndexError, ValueError) as error:
        raise SourceUnavailable(f"a /proc/PID/status is not understood: {error!r}") from error


def _number(text: bytes) -> int:
    if not text.isdigit() or len(text) > _DIGITS:
        raise ValueError(f"no number: {text[:30]!r}")
    return int(text)


def _kilobytes(value: bytes | None) -> int:
    """Return the bytes of a value such as ``1234 kB``; 0 if there is none."""
    return 0 if value is None else 1024 * _number(value.split()[0])
