"""
Reading one file below a proc root, so that nothing outside of it and nothing forbidden is shown.

The daemon usually runs as root, its callers do not: who asks is part of every question here.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import Final

from libgomd.errors import GomdError, NotAllowed, NotFound, NotPossible, RequestError, SourceUnavailable
from libgomd.model import Caller

#: Largest file that is read, in bytes; the kernel's own are far smaller.
MAX_FILE: Final = 4 * 1024 * 1024
#: What the kernel calls the mount options that hide other people's processes.
_HIDING: Final = frozenset({b"1", b"2", b"4", b"noaccess", b"invisible", b"ptraceable"})
#: Where in a line of mounts these are.
_POINT, _KIND, _OPTIONS = 1, 2, 3
_GONE: Final = frozenset({errno.ENOENT, errno.ESRCH, errno.ENOTDIR, errno.ENXIO})
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM})
_MAX_STATUS: Final = 4096
_OCTAL: Final = re.compile(rb"\\([0-3][0-7]{2})")
#: Before it stand only the name, which the kernel writes without line ends, and two more numbers.
_TGID: Final = re.compile(rb"^Tgid:\t([0-9]{1,10})$", re.MULTILINE)


class ProcRoot:
    """
    A tree of /proc: the kernel's own, or a captured one. Its methods block as the files behind do.

    Paths are relative to the root, with no `..` in them, as `TreePath` makes sure of. Symbolic links
    are followed as long as they stay below the root (/proc/mounts is one).

    :ivar path: the root, with every symbolic link resolved.
    :ivar is_kernel: whether these are the processes of this kernel, which can be signalled.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.realpath(path)
        self.is_kernel = self.path == "/proc"
        self._below = self.path.rstrip("/") + "/"

    def under(self, path: str) -> str:
        """Return the absolute name of ``path``, unchecked."""
        return self._below + path

    def read(self, path: str, caller: Caller | None = None) -> bytes:
        """
        Return the bytes of one regular file below the root.

        :param caller: whom it is for; None is the daemon itself, which may read all it can.
        :raises NotFound: there is none, or its process has ended.
        :raises NotAllowed: it lies outside the root, is not a regular file, or the kernel would not
            show it to ``caller``.
        :raises NotPossible: it is larger than `MAX_FILE`, or can only be written.
        :raises SourceUnavailable: reading failed otherwise.
        """
        return self.read_owned(path, caller)[0]

    def sample_text(self, path: str) -> str:
        """
        Return the text of a file that the node's sample is made of, read for the daemon itself.

        :raises SourceUnavailable: it is missing or cannot be read, for whatever reason.
        """
        try:
            return self.read(path).decode("utf-8", "replace")
        except RequestError as error:
            raise SourceUnavailable(str(error)) from error

    def read_owned(self, path: str, caller: Caller | None = None) -> tuple[bytes, int]:
        """Return the bytes of one file as `read` does, and the user id that owns it."""
        try:
            descriptor = self.open(path, os.O_RDONLY)
            try:
                found = os.fstat(descriptor)
                if caller is not None and not found.st_mode & stat.S_IROTH and not caller.owns(found.st_uid):
                    raise NotAllowed(f"/proc/{path} is shown to the owner of it and to admins")
                return _read_all(descriptor, path), found.st_uid
            finally:
                os.close(descriptor)
        except OSError as error:
            raise error_of(error, path) from error

    def peek(self, path: str, limit: int) -> tuple[bytes, int]:
        """
        Return the first ``limit`` bytes of a file, in one read, and the user id that owns it.

        For what a scan reads of thousands of processes: the kernel's own tree has no FIFO, no device
        and no link in the place of a process's file, so only another tree is looked at first.

        :raises OSError: as the kernel says.
        :raises NotAllowed: as `open`.
        """
        if self.is_kernel:
            descriptor = os.open(self._below + path, os.O_RDONLY | os.O_CLOEXEC)
        else:
            descriptor = self.open(path, os.O_RDONLY)
        try:
            return os.read(descriptor, limit), os.fstat(descriptor).st_uid
        finally:
            os.close(descriptor)

    def peek_data(self, path: str, limit: int) -> bytes:
        """Return what `peek` does, where nobody asks whose file it is. Errors alike."""
        if not self.is_kernel:
            return self.peek(path, limit)[0]
        descriptor = os.open(self._below + path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, limit)
        finally:
            os.close(descriptor)

    def open(self, path: str, flags: int) -> int:
        """
        Return a descriptor of one regular file below the root; the caller closes it.

        It is looked at before it is opened, so that no device or FIFO of a forged tree is touched.

        :raises NotAllowed: it lies outside the root or is not a regular file.
        :raises OSError: as the kernel says.
        """
        handle = os.open(self._below + path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise NotAllowed(f"/proc/{path} is not a regular file")
            link = f"/proc/self/fd/{handle}"
            if not os.readlink(link).startswith(self._below):
                raise NotAllowed(f"/proc/{path} is a link that leads out of {self.path}")
            return os.open(link, flags | os.O_NONBLOCK | os.O_CLOEXEC)
        finally:
            os.close(handle)

    def names(self, path: str = "") -> list[str]:
        """
        Return the names in one directory below the root, in no order.

        :raises NotFound: there is no such directory.
        :raises NotAllowed: it lies outside the root, or the kernel does not let the daemon read it.
        :raises SourceUnavailable: reading failed otherwise.
        """
        try:
            handle = os.open(self._below + path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                where = os.readlink(f"/proc/self/fd/{handle}")
                if where != self.path and not where.startswith(self._below):
                    raise NotAllowed(f"/proc/{path} is a link that leads out of {self.path}")
                return os.listdir(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise error_of(error, path) from error

    def owner(self, pid: int) -> int:
        """
        Return the effective user id of a process.

        :raises NotFound: there is no such process.
        """
        try:
            return os.lstat(f"{self._below}{pid}").st_uid
        except OSError as error:
            raise error_of(error, str(pid)) from error

    def check_process(self, pid: int) -> None:
        """
        Do nothing for a process. Blocks.

        A thread has a directory here too, which no list shows; its number names no process.

        :raises NotFound: ``pid`` is a thread of another process; the sentence says of which.
        :raises OSError: as the kernel says.
        """
        try:
            data = self.peek(f"{pid}/status", _MAX_STATUS)[0]
        except (FileNotFoundError, NotAllowed):  # a captured tree without it
            os.lstat(self.under(str(pid)))
            return
        process = thread_group(data)
        if process is not None and process != pid:
            raise thread_error(pid, process)

    def hides_others(self) -> bool:
        """
        Return whether the kernel hides other people's processes here (``hidepid`` of the mount).

        :raises SourceUnavailable: that cannot be told: it must not be taken for "no".
        """
        try:
            found = self._hiding(self._mounts("mounts"))
        except (OSError, NotAllowed) as error:
            if self.is_kernel or not (isinstance(error, OSError) and error.errno in _GONE):
                raise SourceUnavailable(f"the mounts cannot be read: {error}") from error
            try:  # a tree without them: a captured one, or a /proc of another place
                with open("/proc/self/mounts", "rb") as file:
                    found = self._hiding(file)
            except OSError as error:
                raise SourceUnavailable(f"the mounts cannot be read: {error}") from error
        if found is None and self.is_kernel:
            raise SourceUnavailable("the mounts do not tell how /proc is mounted")
        return bool(found)

    def _mounts(self, path: str) -> Iterator[bytes]:
        """Give the lines of a file, however many: thousands of containers have megabytes of mounts."""
        with open(self.open(path, os.O_RDONLY), "rb") as file:
            yield from file

    def _hiding(self, lines: Iterable[bytes]) -> bool | None:
        """Return what the last mount of this tree says, which covers the ones before; None without one."""
        hidden = None
        point = _as_in_mounts(self.path)
        for line in lines:
            if b" proc " in line:
                words = line.rstrip(b"\n").split(b" ")
                if len(words) > _OPTIONS and words[_KIND] == b"proc" and words[_POINT] == point:
                    options = [option.partition(b"=") for option in words[_OPTIONS].split(b",")]
                    hidden = any(name == b"hidepid" and value in _HIDING for name, _, value in options)
        return hidden


def _as_in_mounts(path: str) -> bytes:
    """Return a path as the kernel writes it there."""
    data = os.fsencode(path)
    for special in (b"\\", b" ", b"\t", b"\n", b"#"):
        data = data.replace(special, b"\\%03o" % special[0])
    return data


def unescaped(field: bytes) -> bytes:
    r"""Return a field of /proc/mounts or mountinfo: the kernel writes space, tab, LF, ``\`` as ``\040``."""
    return _OCTAL.sub(lambda found: bytes((int(found[1], 8),)), field)


def thread_group(status: bytes) -> int | None:
    """Return the process that ``status``, a /proc/PID/status, is of; None where it does not say so."""
    found = _TGID.search(status)
    return int(found[1]) if found else None


def thread_error(thread: int, process: int) -> NotFound:
    """Return the error of one who named a thread where a process has to be named."""
    return NotFound(f"{thread} is a thread of process {process}, no process itself: say {process} instead")


def error_of(error: OSError, path: str) -> GomdError:
    """Return the error of ours that says what the kernel's says about ``/proc/PATH``."""
    if error.errno in _GONE:
        pid, _, name = path.partition("/")
        if pid.isdigit() and name:
            return NotFound(f"there is no /proc/{path}: process {pid} has ended or has no such file")
        if pid.isdigit():
            return NotFound(f"there is no process {pid} on this node now; `ps` lists what runs")
        return NotFound(f"there is no /proc/{path} on this node")
    if error.errno in _FORBIDDEN:
        return NotAllowed(f"the kernel does not let gomd read /proc/{path}")
    return SourceUnavailable(f"/proc/{path} cannot be read: {error.strerror}")


def _read_all(descriptor: int, path: str) -> bytes:
    pieces: list[bytes] = []
    room = MAX_FILE
    while piece := os.read(descriptor, min(65536, room + 1)):
        pieces.append(piece)
        room -= len(piece)
        if room < 0:
            raise NotPossible(f"/proc/{path} is larger than {MAX_FILE} bytes")
    return b"".join(pieces)
