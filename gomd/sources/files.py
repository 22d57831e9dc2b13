"""
Reads single files below a proc root, and never shows a caller more than the kernel would.

The daemon usually runs as root and its callers do not, so the caller is a parameter of every read.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import Final

from gomd.sources.kept_reads import KeptReads
from libgomd.errors import GomdError, NotAllowed, NotFound, NotPossible, RequestError, SourceUnavailable
from libgomd.model import Caller

#: Maximum size of a file, in bytes. The kernel's own files are far smaller.
MAX_FILE_BYTES: Final = 4 * 1024 * 1024
#: Values of the mount option hidepid that hide the processes of other users.
_HIDING: Final = frozenset({b"1", b"2", b"4", b"noaccess", b"invisible", b"ptraceable"})
#: Positions of mount point, file system type and options in a line of /proc/mounts.
_POINT, _KIND, _OPTIONS = 1, 2, 3
_GONE: Final = frozenset({errno.ENOENT, errno.ESRCH, errno.ENOTDIR, errno.ENXIO})
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM})
_MAX_STATUS_BYTES: Final = 4096
#: What every sample reads: it stays open. These files of the kernel never block, and root owns them.
_SAMPLED: Final = frozenset({
    "diskstats", "loadavg", "meminfo", "net/dev", "pressure/cpu", "pressure/io", "pressure/memory", "stat",
    "vmstat",
})  # fmt: skip
_OCTAL: Final = re.compile(rb"\\([0-3][0-7]{2})")
#: Safe to search for: only the name, in which the kernel escapes line ends, and two numbers precede it.
_TGID: Final = re.compile(rb"^Tgid:\t([0-9]{1,10})$", re.MULTILINE)


class ProcRoot:
    """
    A /proc tree: the kernel's own or a captured one. Its methods block as long as its files do.

    Paths are relative to the root and contain no `..`, which `TreePath` ensures. Symbolic links are followed
    if they stay below the root, as /proc/mounts does.

    :ivar path: path of the root, with symbolic links resolved.
    :ivar is_kernel: whether its processes are those of this kernel, which can be signalled.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.realpath(path)
        self.is_kernel = self.path == "/proc"
        self._below = self.path.rstrip("/") + "/"
        self._kept = KeptReads(self._open_sampled, len(_SAMPLED))

    def under(self, path: str) -> str:
        """Return the absolute path of ``path``, without any check."""
        return self._below + path

    def read(self, path: str, caller: Caller | None = None) -> bytes:
        """
        Return the content of a regular file below the root.

        :param caller: the caller who will see it; None for the daemon itself, which may read everything.
        :raises NotFound: there is no such file, or its process has ended.
        :raises NotAllowed: it lies outside the root, is not a regular file, or the kernel would not
            show it to ``caller``.
        :raises NotPossible: it is larger than `MAX_FILE_BYTES`, or can only be written.
        :raises SourceUnavailable: reading failed otherwise.
        """
        return self.read_owned(path, caller)[0]

    def _open_sampled(self, path: str) -> int:
        """Open a file that every sample reads. :raises OSError: it cannot be, or is not the kernel's own."""
        descriptor = os.open(self._below + path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if os.fstat(descriptor).st_dev != os.stat(self.path).st_dev:
                raise OSError(errno.EXDEV, "another file system is mounted there")  # such as lxcfs
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def sample_text(self, path: str) -> str:
        """
        Return the text of a file for the node's sample, read for the daemon itself.

        :raises SourceUnavailable: it is missing or cannot be read.
        """
        try:
            return self.read(path).decode("utf-8", "replace")
        except RequestError as error:
            raise SourceUnavailable(str(error)) from error

    def read_owned(self, path: str, caller: Caller | None = None) -> tuple[bytes, int]:
        """Return the content of a file as `read` does, and the user id of its owner."""
        if caller is None and self.is_kernel and path in _SAMPLED:
            try:
                return self._kept.read(path, MAX_FILE_BYTES), 0
            except OSError:
                pass  # read as any other file, which says what is wrong
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
        Return the first ``limit`` bytes of a file, in one read, and the user id of its owner.

        Scans use it for thousands of processes, so it checks the type of the file only in captured trees: the
        kernel's own has no FIFO, device or link in the place of a process's file.

        :raises OSError: the error of the kernel.
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
        """Return the bytes that `peek` returns, without the owner. Errors as in `peek`."""
        if not self.is_kernel:
            return self.peek(path, limit)[0]
        descriptor = os.open(self._below + path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, limit)
        finally:
            os.close(descriptor)

    def open(self, path: str, flags: int) -> int:
        """
        Return a descriptor of a regular file below the root; the caller closes it.

        Its type is checked before it is opened, so that no device or FIFO of a forged tree is opened.

        :raises NotAllowed: it lies outside the root or is not a regular file.
        :raises OSError: the error of the kernel.
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
        """Return the names in a directory below the root, in no particular order. Errors as in `listing`."""
        return self.listing(path)[0]

    def place(self) -> tuple[int, int]:
        """
        Return the value that `listing` returns for the root, without listing it.

        :raises NotFound: there is no such directory. :raises SourceUnavailable: looking failed otherwise.
        """
        try:
            found = os.stat(self._below)
        except OSError as error:
            raise error_of(error, "") from error
        return found.st_dev, found.st_ino

    def listing(self, path: str = "") -> tuple[list[str], tuple[int, int]]:
        """
        Return the names in a directory below the root, in no particular order, and a value that is another
        one when another file system has been mounted there.

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
                found = os.fstat(handle)
                return os.listdir(handle), (found.st_dev, found.st_ino)
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
        Check that ``pid`` is a process and not a thread. Blocks.

        A thread has a directory in /proc too, which is not listed; its number does not name a process.

        :raises NotFound: ``pid`` is a thread; the text names its process.
        :raises OSError: the error of the kernel.
        """
        try:
            data = self.peek(f"{pid}/status", _MAX_STATUS_BYTES)[0]
        except (FileNotFoundError, NotAllowed):  # a captured tree without it
            os.lstat(self.under(str(pid)))
            return
        process = thread_group(data)
        if process is not None and process != pid:
            raise thread_error(pid, process)

    def hides_others(self) -> bool:
        """
        Return whether the kernel hides the processes of other users here (mount option ``hidepid``).

        :raises SourceUnavailable: it is unknown, which must not be taken for "no".
        """
        try:
            found = self._hiding(self._mounts("mounts"))
        except (OSError, NotAllowed) as error:
            if self.is_kernel or not (isinstance(error, OSError) and error.errno in _GONE):
                raise SourceUnavailable(f"the mounts cannot be read: {error}") from error
            try:  # a tree without mounts: a captured one, or a /proc mounted elsewhere
                with open("/proc/self/mounts", "rb") as file:
                    found = self._hiding(file)
            except OSError as error:
                raise SourceUnavailable(f"the mounts cannot be read: {error}") from error
        if found is None and self.is_kernel:
            raise SourceUnavailable("the mounts do not tell how /proc is mounted")
        return bool(found)

    def _mounts(self, path: str) -> Iterator[bytes]:
        """Yield the lines of a file of any size: with thousands of containers, mounts have megabytes."""
        with open(self.open(path, os.O_RDONLY), "rb") as file:
            yield from file

    def _hiding(self, lines: Iterable[bytes]) -> bool | None:
        """
        Return whether the last mount of this tree, which covers earlier ones, hides processes; None without
        one.
        """
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
    """Return a path with the escapes that the kernel uses in /proc/mounts."""
    data = os.fsencode(path)
    for special in (b"\\", b" ", b"\t", b"\n", b"#"):
        data = data.replace(special, b"\\%03o" % special[0])
    return data


def unescaped(field: bytes) -> bytes:
    r"""Return a field of /proc/mounts or mountinfo: the kernel writes space, tab, LF, ``\`` as ``\040``."""
    return _OCTAL.sub(lambda found: bytes((int(found[1], 8),)), field)


def thread_group(status: bytes) -> int | None:
    """Return the pid in ``status``, the content of /proc/PID/status; None if there is none."""
    found = _TGID.search(status)
    return int(found[1]) if found else None


def thread_error(thread: int, process: int) -> NotFound:
    """Return the error for a caller that gave the number of a thread instead of a process."""
    return NotFound(f"{thread} is a thread of process {process}, no process itself: say {process} instead")


def error_of(error: OSError, path: str) -> GomdError:
    """Return the error of gomd for an error of the kernel about ``/proc/PATH``."""
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
    room = MAX_FILE_BYTES
    while piece := os.read(descriptor, min(65536, room + 1)):
        pieces.append(piece)
        room -= len(piece)
        if room < 0:
            raise NotPossible(f"/proc/{path} is larger than {MAX_FILE_BYTES} bytes")
    return b"".join(pieces)
