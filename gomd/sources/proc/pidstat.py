"""/proc/PID/stat: one line, in which the name may hold anything, parentheses and newlines too."""

from __future__ import annotations

from typing import Final, NamedTuple

from libgomd.errors import SourceUnavailable

#: Of the kernel's task flags: it is a kernel thread (since 2.6.27), it is exiting (always).
_PF_KTHREAD: Final = 0x00200000
_PF_EXITING: Final = 0x00000004
#: proc(5) counts from 1; the state, its field 3, is the first item behind the name.
_OFFSET: Final = 3
#: Fields behind the name that all kernels have and agree on: through rss, field 24.
_LEAST: Final = 24 - _OFFSET + 1
#: A number of 64 bits has no more digits, the sign counted.
_DIGITS: Final = 20
#: What do_task_stat() of fs/proc/array.c writes in place of what only the owner may see.
_MASKED: Final = {
    **dict.fromkeys((26, 27), b"1"),  # startcode endcode
    **dict.fromkeys((28, 29, 30, 35), b"0"),  # startstack kstkesp kstkeip wchan
    **dict.fromkeys(range(45, 53), b"0"),  # start_data ... env_end exit_code
}


class PidStat(NamedTuple):
    """
    What of a process's stat line is used; times in clock ticks.

    :ivar threads: None before 2.6, which always wrote 0.
    :ivar started: clock ticks after boot. :ivar rss: pages.
    :ivar program: changes with every exec: the name, where stack and arguments lie (if that is shown).
    """

    pid: int
    name: bytes
    state: str
    ppid: int
    flags: int
    ticks: int
    nice: int
    threads: int | None
    started: int
    vsize: int
    rss: int
    program: tuple[bytes, bytes, bytes]

    @property
    def of_kernel(self) -> bool:
        """Whether it is a kernel thread, on old kernels told by having no memory of its own."""
        if self.flags & _PF_KTHREAD:
            return True
        return not (self.vsize or self.flags & _PF_EXITING or self.state in "ZXx")


def parse_pid_stat(data: bytes) -> PidStat:
    """
    Return what ``data``, a whole /proc/PID/stat, says.

    :raises SourceUnavailable: for any other bytes, a line cut short among them, and nothing else.
    """
    opened, closed = data.find(b" ("), data.rfind(b") ")
    try:
        if not 0 < opened < closed or data[-1:] != b"\n":
            raise ValueError("no whole line")
        name, fields = data[opened + 2 : closed], data[closed + 2 :].split()
        if len(fields) < _LEAST or max(map(len, fields)) > _DIGITS:
            raise ValueError(f"{len(fields)} fields")
        state = fields[0].decode("ascii")
        if len(state) != 1 or not state.isalpha():
            raise ValueError(f"state {state!r}")
        # Where the kernel put the stack and, since 3.5, the arguments.
        stack = fields[28 - _OFFSET] if len(fields) > 28 - _OFFSET else b""
        arguments = fields[48 - _OFFSET] if len(fields) > 48 - _OFFSET else b""
        return PidStat(
            pid=int(data[:opened]),
            name=name,
            state=state,
            ppid=int(fields[4 - _OFFSET]),
            flags=int(fields[9 - _OFFSET]),
            ticks=int(fields[14 - _OFFSET]) + int(fields[15 - _OFFSET]),
            nice=int(fields[19 - _OFFSET]),
            threads=int(fields[20 - _OFFSET]) or None,
            started=int(fields[22 - _OFFSET]),
            vsize=int(fields[23 - _OFFSET]),
            rss=max(0, int(fields[24 - _OFFSET])),
            program=(name, stack, arguments),
        )
    except ValueError as error:
        raise SourceUnavailable(f"a /proc/PID/stat is not understood: {error}") from error


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
