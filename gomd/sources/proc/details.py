"""What a process is besides its stat line: whose it is, its command line, what it read and wrote."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from threading import Event, Thread
from typing import Final, NamedTuple

from gomd.sources.files import ProcRoot
from gomd.sources.proc.pidstat import PidStat
from libgomd.errors import NotAllowed
from libgomd.wire.text import printable_bytes

#: Longest command line that is kept, in bytes; the kernel allows 128 KiB an argument.
MAX_COMMAND: Final = 4096
_MAX_IO: Final = 1024
#: Users whose names are kept; a machine with more is looked up anew.
_MAX_USERS: Final = 4096
#: Scans after which a user's name is looked up again: an hour at the default period.
_USERS_KEPT: Final = 720
#: Seconds that a scan waits for the name of a user it does not know, and look-ups that may be under way.
_NAME_PATIENCE: Final = 0.1
_MAX_ASKED: Final = 4


class Transferred(NamedTuple):
    """Bytes a process has read from and written to storage since it started."""

    read: int
    written: int


class UserNames:
    """
    Names of users, looked up once: behind the C library may stand a directory server.

    Each look-up has a thread of its own, and is waited for only so long: a server that hangs costs a few
    threads, and its users are shown by their numbers until it answers.

    :param find: returns the name of a user, or raises KeyError or OverflowError; may block for ever.
    :param patience: seconds to wait for one.
    """

    def __init__(
        self,
        find: Callable[[int], str] = lambda uid: pwd.getpwuid(uid).pw_name,
        patience: float = _NAME_PATIENCE,
    ) -> None:
        self._find = find
        self._patience = patience
        self._names: dict[int, str] = {}
        self._left = _USERS_KEPT
        self._asked: set[int] = set()
        self._late: dict[int, str] = {}

    def name(self, uid: int) -> str:
        """Return the user's name, or the number as text. Blocks for the patience at the most."""
        known = self._names.get(uid)
        return self._ask(uid) if known is None else known

    def _ask(self, uid: int) -> str:
        if uid in self._asked or len(self._asked) >= _MAX_ASKED:
            return str(uid)
        self._asked.add(uid)
        done, given_up = Event(), Event()

        def look_up() -> None:
            try:
                name = self._find(uid)
            except (KeyError, OverflowError):
                name = str(uid)
            except OSError:  # the server is not there: it may be soon
                self._asked.discard(uid)
                done.set()
                return
            self._names[uid] = name
            done.set()
            if given_up.is_set():
                self._late[uid] = name
            self._asked.discard(uid)

        Thread(target=look_up, name="user name", daemon=True).start()
        if not done.wait(self._patience):
            given_up.set()
            if done.is_set() and uid in self._names:  # at this very moment
                self._late[uid] = self._names[uid]
        return self._names.get(uid, str(uid))

    def take_late(self) -> dict[int, str]:
        """Return the names that came too late for who had asked, each once."""
        late, self._late = self._late, {}
        return late

    def age(self) -> None:
        """Count one scan; after many, or with too many names, forget all."""
        self._left -= 1
        if self._left < 0 or len(self._names) > _MAX_USERS:
            self._names, self._left = {}, _USERS_KEPT


def read_uid(root: ProcRoot, pid: int) -> int:
    """Return the effective user id of a process. Blocks. :raises OSError: it has ended."""
    return os.lstat(root.under(str(pid))).st_uid


def read_command(root: ProcRoot, stat: PidStat) -> str:
    """
    Return the command line; the name in brackets of a process that has none, as kernel threads. Blocks.

    :raises OSError: it has ended.
    """
    data = b""
    if not stat.of_kernel and stat.state != "Z":
        try:
            data = root.peek(f"{stat.pid}/cmdline", MAX_COMMAND)[0]
        except NotAllowed:  # a forged tree
            pass
    return parse_command(data) or f"[{printable_bytes(stat.name)}]"


def parse_command(data: bytes) -> str:
    """Return the command line in ``data``, a /proc/PID/cmdline, safe to print; empty for none."""
    return printable_bytes(data.rstrip(b"\0 ").replace(b"\0", b" "))


def read_transferred(root: ProcRoot, pid: int, uid: int) -> Transferred | None:
    """
    Return what a process has read and written. Blocks.

    None where the kernel does not count it or does not show it to the daemon, and for a process of
    ``uid`` that its own user may not look into (it has dropped privileges and was not traceable
    since): the daemon, as root, could read it, but its table is shown to that user too.
    """
    try:
        data, owner = root.peek(f"{pid}/io", _MAX_IO)
    except (OSError, NotAllowed):
        return None
    return parse_transferred(data) if owner == uid else None


def parse_transferred(data: bytes) -> Transferred | None:
    """Return what ``data``, a /proc/PID/io, says of storage; None when it does not, or is cut short."""
    _, found, tail = data.partition(b"\nread_bytes: ")
    read, found_too, written = tail.partition(b"\nwrite_bytes: ")
    try:
        if not (found and found_too and data.endswith(b"\n")):
            return None
        return Transferred(int(read[:20]), int(written.split(b"\n", 1)[0][:20]))
    except ValueError:
        return None
