"""The tree as files: what a path is, what it holds, and what writing to it does. Without FUSE."""

from __future__ import annotations

import errno
import re
import threading
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

from gom.mount import binary
from libgomd.errors import (
    Conflict,
    GomdError,
    MalformedRequest,
    NotAllowed,
    NotFound,
    NotPossible,
    TimedOut,
    TooMany,
)
from libgomd.model import Node, NodeRange
from libgomd.wire.tree import Kind, TreePath

T = TypeVar("T")

_ESCAPED: Final = re.compile(rb"\\x([0-9a-f]{2})")

#: Where the files are that have no text, and so no verb.
_INFO: Final = "/proc/hpc/info"
_CONFIG: Final = "/proc/hpc/admin/config"
#: Bytes that one value may have.
MAX_VALUE: Final = 256
#: Names of files that are written to: for an admin, and for the owner of a process.
_ADMIN_WRITES: Final = ("block", "bring", "expel", "lstay", "quiet", "speed", "sspeed", "stay")
_PROCESS_WRITES: Final = ("goto", "lock", "migrate")
_WRITTEN_ONLY: Final = ("bring", "expel", "goto", "migrate")
#: Names whose writing ends when processes have moved.
_PATIENT: Final = ("bring", "expel", "goto", "migrate")


class Asks(Protocol):
    """The calls of a client that are used here: `libgomd.blocking.Client`."""

    def get(self, path: str) -> str:
        """Return the text of a file."""

    def put(self, path: str, value: str) -> None:
        """Write a value."""

    def ls(self, path: str) -> Sequence[str]:
        """List a directory."""

    def nodes(self) -> Sequence[Node]:
        """List the nodes."""

    def node_map(self) -> Sequence[NodeRange]:
        """List ranges of nodes."""

    def close(self) -> None:
        """Close the connection."""


class Entry(NamedTuple):
    """What a path is. :ivar mode: permission bits. :ivar size: where lseek to the end goes."""

    is_directory: bool
    mode: int
    size: int = 0


class OpenFile(Protocol):
    """A file that was opened for reading: its content is that of the moment it was opened."""

    def read(self, size: int, position: int) -> bytes:
        """Return bytes from a position on."""


class TextFile(NamedTuple):
    """A file of text."""

    content: bytes

    def read(self, size: int, position: int) -> bytes:
        """Return bytes from a position on."""
        return self.content[position : position + size]


class RecordFile(NamedTuple):
    """A file of /proc/hpc/info, whose positions count nodes."""

    records: Sequence[bytes]

    def read(self, size: int, position: int) -> bytes:
        """Return whole records from a node on."""
        return binary.read_records(self.records, size, position)


class TreeFiles:
    """
    Answers what a file system asks, with the rights of the user who mounted it. For many threads.

    Errors are OSError with the number that a program expects; a daemon that is away, or does not answer in
    time, is ETIMEDOUT or EIO, and nothing waits longer than that.

    :param connect: connects to the daemon; its argument is the seconds that an answer has.
    :param timeout: seconds for an answer. :param patience: those of a write that moves processes.
    """

    def __init__(self, connect: Callable[[float], Asks], timeout: float, patience: float = 600.0) -> None:
        self._connect = connect
        self._timeout = timeout
        self._patience = patience
        self._here = threading.local()

    # -- what is there

    def entry(self, path: str) -> Entry:
        """Return what a path is. :raises OSError: there is nothing."""
        full = _full(path)
        if full == _INFO:
            return Entry(True, 0o555)
        if full.startswith(f"{_INFO}/"):
            if full.rpartition("/")[2] not in binary.INFO_FILES:
                raise OSError(errno.ENOENT, "there is no such file")
            highest = max((node.id for node in self._ask(lambda asks: asks.nodes())), default=0)
            return Entry(False, 0o444, highest)
        if full == _CONFIG:
            return Entry(False, 0o444)
        found = _parsed(full)
        if found.kind is Kind.DIRECTORY:
            if found.number is not None:  # of a node or a process: only what is there has one
                self._ask(lambda asks: asks.ls(full))
            return Entry(True, 0o555)
        if found.number is not None:
            self._ask(lambda asks: asks.ls(full.rpartition("/")[0]))
        return Entry(False, _mode(found))

    def names(self, path: str) -> list[str]:
        """Return the names in a directory. :raises OSError: it cannot be listed."""
        full = _full(path)
        if full == _INFO:
            return list(binary.INFO_FILES)
        found = list(self._ask(lambda asks: asks.ls(full)))
        more = {"/proc/hpc": ["info"], "/proc/hpc/admin": ["config"]}.get(full, [])
        return found + [name for name in more if name not in found]

    # -- contents

    def opened(self, path: str) -> OpenFile:
        """Return the content of a file. :raises OSError: it cannot be read."""
        full = _full(path)
        if full.startswith(f"{_INFO}/"):
            nodes = self._ask(lambda asks: asks.nodes())
            return RecordFile(binary.info_records(full.rpartition("/")[2], nodes))
        if full == _CONFIG:
            return TextFile(binary.config(self._ask(lambda asks: asks.node_map())))
        if _parsed(full).name in _WRITTEN_ONLY:
            raise OSError(errno.EPERM, "it is only written to")
        return TextFile(_content(self._ask(lambda asks: asks.get(full))))

    def write(self, path: str, data: bytes) -> None:
        """Write a value, and wait until it has taken effect. :raises OSError: it was refused."""
        found = _parsed(_full(path))
        if not _mode(found) & 0o200:
            raise OSError(errno.EACCES, "it is not written to")
        try:
            value = data.decode("ascii").strip()
        except UnicodeDecodeError:
            value = ""
        if not value or len(value) > MAX_VALUE:
            raise OSError(errno.EINVAL, "a value is text of one line")
        self._ask(lambda asks: asks.put(str(found), value), found.name in _PATIENT)

    # -- the daemon

    def _ask(self, what: Callable[[Asks], T], is_patient: bool = False) -> T:
        """Ask over this thread's connection; one that has ended is made anew once."""
        for is_last in (False, True):
            asks: Asks | None = None if is_patient else getattr(self._here, "asks", None)
            try:
                if asks is None:
                    asks = self._connect(self._patience if is_patient else self._timeout)
                answer = what(asks)
                self._keep(None if is_patient else asks)
                return answer
            except GomdError as error:
                is_over = not isinstance(error, _ANSWERS)
                was_kept = getattr(self._here, "asks", None) is asks
                if is_over:
                    self._keep(None)
                if is_last or not is_over or not was_kept or isinstance(error, TimedOut):
                    raise OSError(_number(error), str(error)) from error
            finally:
                if is_patient and asks is not None:
                    asks.close()
        raise AssertionError("the second try ends it")

    def _keep(self, asks: Asks | None) -> None:
        old: Asks | None = getattr(self._here, "asks", None)
        if old is not None and old is not asks:
            old.close()
        self._here.asks = asks


#: Errors that are an answer of the daemon: its connection goes on.
_ANSWERS = (MalformedRequest, NotAllowed, NotFound, NotPossible, Conflict, TooMany)


def _number(error: GomdError) -> int:
    """Return the number that stands for an error of the daemon's."""
    for kinds, number in (
        (NotFound, errno.ENOENT), (NotAllowed, errno.EACCES), (MalformedRequest, errno.EINVAL),
        (NotPossible, errno.EPERM), (Conflict, errno.EBUSY), (TooMany, errno.EAGAIN),
        (TimedOut, errno.ETIMEDOUT),
    ):  # fmt: skip
        if isinstance(error, kinds):
            return number
    return errno.EIO


def _full(path: str) -> str:
    """Return a path of the file system as a path of the tree."""
    return "/proc" if path == "/" else f"/proc{path}"


def _content(text: str) -> bytes:
    """Return the bytes of a file: ``\\xNN`` in the answer stands for a byte that is not printable."""
    found = _ESCAPED.sub(
        lambda escaped: bytes([int(escaped[1], 16)]), text.encode("utf-8", "surrogateescape")
    )
    return found if not found or found.endswith((b"\n", b"\0")) else found + b"\n"


def _parsed(full: str) -> TreePath:
    try:
        return TreePath.parse(full)
    except GomdError as error:
        raise OSError(errno.ENOENT, str(error)) from error


def _mode(path: TreePath) -> int:
    writes = (path.kind is Kind.ADMIN and path.name in _ADMIN_WRITES) or (
        path.kind is Kind.CLUSTER and path.name in _PROCESS_WRITES
    )
    return (0o200 if path.name in _WRITTEN_ONLY else 0o644) if writes else 0o444
