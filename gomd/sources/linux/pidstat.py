"""Parses /proc/PID/stat: one line whose name may hold any bytes, even parentheses and newlines."""

from __future__ import annotations

from typing import Final, NamedTuple

from gomd.sources.linux.numbers import MAX_COUNT, MAX_CPUS, MAX_TASKS, step, whole, within
from libgomd.errors import SourceUnavailable

#: Bytes of a stat line. No kernel writes a longer one: 50 numbers of 20 digits and a name.
MAX_STAT_BYTES: Final = 2048
#: Of the kernel's task flags: it is a kernel thread (since 2.6.27), it is exiting (always).
_PF_KTHREAD: Final = 0x00200000
_PF_EXITING: Final = 0x00000004
#: proc(5) counts from 1; the state, its field 3, is the first item behind the name.
_OFFSET: Final = 3
#: Fields behind the name that all kernels have and agree on: through rss, field 24.
_LEAST: Final = 24 - _OFFSET + 1
#: Process ids, and flags of a task, at most.
_MAX_PID: Final = 2**31 - 1
_MAX_FLAGS: Final = 2**32 - 1
#: Memory of one process in pages, at most, so that its bytes are a number of 64 bits too.
_MAX_PAGES: Final = 2**47
#: What do_task_stat() of fs/proc/array.c writes in place of what only the owner may see.
_MASKED: Final = {
    **dict.fromkeys((26, 27), b"1"),  # startcode endcode
    **dict.fromkeys((28, 29, 30, 35), b"0"),  # startstack kstkesp kstkeip wchan
    **dict.fromkeys(range(45, 53), b"0"),  # start_data ... env_end exit_code
}


class PidStat(NamedTuple):
    """
    The used fields of a process's stat line. Times are in clock ticks. An impossible number is None.

    :ivar ppid: 0 without a parent, or if the number is impossible.
    :ivar threads: None before 2.6, which always wrote 0.
    :ivar started: clock ticks after boot, as the kernel wrote them: part of the process's identity even
        if impossible. :ivar rss: pages, inexact since Linux 6.2; statm is exact.
    :ivar program: changes with every exec: the name, where stack and arguments lie (if that is shown).
    """

    pid: int
    name: bytes
    state: str
    ppid: int
    flags: int
    ticks: int | None
    nice: int | None
    threads: int | None
    started: int
    vsize: int | None
    rss: int | None
    program: tuple[bytes, bytes, bytes]

    @property
    def of_kernel(self) -> bool:
        """Whether it is a kernel thread. On old kernels, one is recognised by having no memory of its own."""
        if self.flags & _PF_KTHREAD:
            return True
        return not (self.vsize != 0 or self.flags & _PF_EXITING or self.state in "ZXx")

    def started_after(self, ticks_a_second: int) -> float | None:
        """Return the seconds from boot to its start; None if that is impossible."""
        return self.started / ticks_a_second if self.started <= MAX_COUNT else None


def parse_pid_stat(data: bytes) -> PidStat:
    """
    Return the fields of ``data``, a whole /proc/PID/stat.

    :raises SourceUnavailable: for any other bytes, such as a line cut short, and nothing else.
    """
    opened, closed = data.find(b" ("), data.rfind(b") ")
    try:
        if not 0 < opened < closed or data[-1:] != b"\n":
            raise ValueError("no whole line")
        name, fields = data[opened + 2 : closed], data[closed + 2 :].split()
        if len(fields) < _LEAST:
            raise ValueError(f"{len(fields)} fields")
        state = fields[0].decode("ascii")
        if len(state) != 1 or not state.isalpha():
            raise ValueError(f"state {state!r}")
        # Where the kernel put the stack and, since 3.5, the arguments.
        stack = fields[28 - _OFFSET] if len(fields) > 28 - _OFFSET else b""
        arguments = fields[48 - _OFFSET] if len(fields) > 48 - _OFFSET else b""
        pid, started = whole(data[:opened], _MAX_PID, 1), whole(fields[22 - _OFFSET], 2**64 - 1)
        if pid is None or started is None:
            raise ValueError("no process has that id and start")
        user, system = whole(fields[14 - _OFFSET]), whole(fields[15 - _OFFSET])
        return PidStat(
            pid=pid,
            name=name,
            state=state,
            ppid=whole(fields[4 - _OFFSET], _MAX_PID) or 0,
            flags=whole(fields[9 - _OFFSET], _MAX_FLAGS) or 0,
            ticks=None if user is None or system is None else user + system,
            nice=whole(fields[19 - _OFFSET], 19, -20),
            threads=whole(fields[20 - _OFFSET], MAX_TASKS) or None,
            started=started,
            vsize=whole(fields[23 - _OFFSET]),
            rss=whole(fields[24 - _OFFSET], _MAX_PAGES),
            program=(name, stack, arguments),
        )
    except ValueError as error:
        raise SourceUnavailable(f"a /proc/PID/stat is not understood: {error}") from error


def cpu_percent(new: int | None, old: int | None, ticks_a_second: int, seconds: float) -> float | None:
    """
    Return the percentage of one processor that ``new`` minus ``old`` clock ticks are in ``seconds``.

    A count that decreased is 0 %. The result is None if a count is unknown, ``seconds`` is not positive, or
    the count rose by more than any machine could.
    """
    if new is None or old is None or seconds <= 0.0:
        return None
    return within(round(100.0 * step(new, old) / ticks_a_second / seconds, 1), 0.0, 100.0 * MAX_CPUS)


def mask_pid_stat(data: bytes) -> bytes:
    """
    Return ``data``, a /proc/PID/stat that root has read, as the kernel shows it to other users.

    :raises SourceUnavailable: it is not such a file.
    """
    closed = data.rfind(b") ")
    if closed < 0 or not data.endswith(b"\n"):
        raise SourceUnavailable("a /proc/PID/stat is not understood: no whole line")
    fields = data[closed + 2 :].split()
    for number, value in _MASKED.items():
        item = number - _OFFSET
        if item < len(fields) and not (value == b"1" and fields[item] == b"0"):
            fields[item] = value
    return data[: closed + 2] + b" ".join(fields) + b"\n"
