"""The tree as files: modes, contents, binary files as openMosix has them, and errors as numbers."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from gom.mount.binary import config, info_records, read_records
from gom.mount.command import MountOptions, parse
from gom.mount.tree_files import TreeFiles
from libgomd.errors import (
    Conflict,
    ConnectionLost,
    GomdError,
    MalformedRequest,
    NodeError,
    NotAllowed,
    NotFound,
    NotPossible,
    TimedOut,
)
from libgomd.model import Node, NodeRange, Status

UP = Status.CONFIGURED | Status.UP
ALPHA = Node(1, "alpha", "10.0.0.1", UP, 57, 70_000, 2, 200, 1 << 33, 5, 1 << 34, 0.1)
GAMMA = Node(3, "gamma", "10.0.0.3", Status.CONFIGURED)


class Daemon:
    """Answers as a client of libgomd; counts how often it was connected to and asked."""

    def __init__(self) -> None:
        self.files = {
            "/proc/loadavg": "0.1 0.2",
            "/proc/5/cmdline": r"a\x00b\x5cx41\x00",
            "/proc/hpc/admin/stay": "0",
        }
        self.written: list[tuple[str, str, float]] = []
        self.connected = 0
        self.errors: list[GomdError] = []
        self._seconds = 0.0

    def connect(self, seconds: float) -> Daemon:
        """Connect."""
        self.connected += 1
        self._seconds = seconds
        return self

    def _fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)

    def get(self, path: str) -> str:
        """A file."""
        self._fail()
        if path not in self.files:
            raise NotFound("no such process")
        return self.files[path]

    def put(self, path: str, value: str) -> None:
        """Write."""
        self._fail()
        self.written.append((path, value, self._seconds))

    def ls(self, path: str) -> list[str]:
        """A directory."""
        self._fail()
        if path in ("/proc/9",):
            raise NotFound("no such process")
        return {"/proc/hpc": ["admin", "nodes", "remote"], "/proc/hpc/admin": ["stay", "bring"]}.get(
            path, ["status"]
        )

    def nodes(self) -> list[Node]:
        """The nodes."""
        self._fail()
        return [ALPHA, GAMMA]

    def node_map(self) -> list[NodeRange]:
        """The map."""
        return [NodeRange(1, "10.0.0.1", 2), NodeRange(3, "10.0.0.3", 1)]

    def close(self) -> None:
        """Close."""


@pytest.fixture
def daemon() -> Daemon:
    """One daemon."""
    return Daemon()


@pytest.fixture
def files(daemon: Daemon) -> TreeFiles:
    """Its tree."""
    return TreeFiles(daemon.connect, 2.0, 99.0)


def number_of(what: Callable[[], Any]) -> int | None:
    """Return the number of the OSError that comes of it."""
    with pytest.raises(OSError) as raised:  # noqa: PT011 - the number is what matters
        what()
    return raised.value.errno


def test_what_paths_are(files: TreeFiles) -> None:
    """Directories can be entered, files read; those of an administrator and of an owner can be written."""
    modes = {
        "/": 0o555, "/hpc": 0o555, "/hpc/nodes/1": 0o555, "/hpc/nodes/1/load": 0o444, "/loadavg": 0o444,
        "/hpc/admin/stay": 0o644, "/hpc/admin/version": 0o444, "/hpc/admin/bring": 0o200,
        "/hpc/admin/config": 0o444,
        "/hpc/info": 0o555, "/5/where": 0o444, "/5/goto": 0o200, "/5/lock": 0o644, "/5/cmdline": 0o444,
    }  # fmt: skip
    assert {path: files.entry(path).mode for path in modes} == modes
    assert files.entry("/hpc/info/loads").size == 3
    for path in ("/etc", "/hpc/info/nothing", "/9", "/9/where", "/.hidden", "/hpc/nodes/x"):
        assert number_of(partial(files.entry, path)) == errno.ENOENT, path


def test_names(files: TreeFiles) -> None:
    """The binary files are among those of the tree."""
    assert files.names("/hpc") == ["admin", "nodes", "remote", "info"]
    assert files.names("/hpc/admin") == ["stay", "bring", "config"]
    assert "infos" in files.names("/hpc/info")


def test_contents(files: TreeFiles) -> None:
    """Text ends with a line end; bytes that the line had to escape are what they were."""
    assert files.opened("/loadavg").read(100, 0) == b"0.1 0.2\n"
    assert files.opened("/loadavg").read(3, 4) == b"0.2"
    assert files.opened("/5/cmdline").read(100, 0) == b"a\0b\\x41\0"
    assert number_of(lambda: files.opened("/hpc/admin/bring")) == errno.EPERM
    assert number_of(lambda: files.opened("/7/stat")) == errno.ENOENT


def test_values_are_written(files: TreeFiles, daemon: Daemon) -> None:
    """As `echo` writes them; what moves processes has more time."""
    files.write("/hpc/admin/stay", b"1\n")
    files.write("/5/goto", b"2")
    assert daemon.written == [("/proc/hpc/admin/stay", "1", 2.0), ("/proc/5/goto", "2", 99.0)]
    assert number_of(lambda: files.write("/loadavg", b"1")) == errno.EACCES
    for wrong in (b"", b"\n", b"\xff", b"1" * 300):
        assert number_of(partial(files.write, "/hpc/admin/stay", wrong)) == errno.EINVAL


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (NotFound("x"), errno.ENOENT), (NotAllowed("x"), errno.EACCES), (MalformedRequest("x"), errno.EINVAL),
        (NotPossible("x"), errno.EPERM), (Conflict("x"), errno.EBUSY), (TimedOut("x"), errno.ETIMEDOUT),
        (NodeError("x"), errno.EIO),
    ],
)  # fmt: skip
def test_errors_are_numbers(error: GomdError, number: int, files: TreeFiles, daemon: Daemon) -> None:
    """A program is told what it would be told by a disk."""
    daemon.errors = [error]
    assert number_of(lambda: files.opened("/loadavg")) == number


def test_a_connection_is_kept_and_made_anew(files: TreeFiles, daemon: Daemon) -> None:
    """A daemon that was restarted is asked again at once; one that is away is an error."""
    files.opened("/loadavg")
    files.opened("/loadavg")
    assert daemon.connected == 1
    daemon.errors = [ConnectionLost("gone")]
    assert files.opened("/loadavg").read(3, 0) == b"0.1"
    assert daemon.connected == 2
    daemon.errors = [ConnectionLost("gone"), ConnectionLost("still gone")]
    assert number_of(lambda: files.opened("/loadavg")) == errno.EIO
    daemon.errors = [NotAllowed("no")]
    number_of(lambda: files.opened("/loadavg"))
    before = daemon.connected
    files.opened("/loadavg")
    assert daemon.connected - before <= 1


def test_binary_files() -> None:
    """Records of each id up to the highest: -101 of a node that is down, -6 of an id that nobody has."""
    nodes = [GAMMA, ALPHA]
    assert [struct.unpack("<q", each)[0] for each in info_records("loads", nodes)] == [57, -6, -101]
    assert [struct.unpack("<q", each)[0] for each in info_records("speeds", nodes)] == [65535, -6, -101]
    assert [struct.unpack("<q", each)[0] for each in info_records("stata", nodes)] == [3, 0, 1]
    first, second, third = info_records("infos", nodes)
    assert struct.unpack("<IHHHHQQQ", first) == (57, 65535, 2, 200, 3, 1 << 33, 5, 1 << 34)
    assert [len(first), second[10:12], third[10:12]] == [36, b"\0\0", b"\1\0"]
    assert info_records("loads", []) == []
    records = [b"aa", b"bb", b"cc"]
    assert read_records(records, 100, 0) == b"aabbcc"
    assert read_records(records, 5, 1) == b"bbcc"
    assert read_records(records, 1, 0) == b""
    assert read_records(records, 6, 6) == b""
    assert config(Daemon().node_map()).hex() == (
        "01000000" "0200" "0000" "0a000001" "0000000000000000" "02000000"
        "03000000" "0200" "0000" "0a000003" "0000000000000000" "01000000"
    )  # fmt: skip


def test_options() -> None:
    """A directory, and what stands before it."""
    assert parse(["-f", "--timeout", "2", "--allow-other", "/mnt"]) == MountOptions("/mnt", True, 2.0, True)
    for words in ("", "-f", "a b", "--timeout 0 a", "--timeout x a", "--fast a"):
        with pytest.raises(MalformedRequest):
            parse(words.split())
