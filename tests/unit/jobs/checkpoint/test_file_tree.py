"""A tree of files arrives elsewhere as it was, and nothing in it or in its stream leads out of it."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.checkpoint import file_tree_codec as codec
from gomd.jobs.checkpoint.file_tree import Mounts, Owners, Unpacker, measure, pack
from gomd.jobs.checkpoint.file_tree_codec import (
    Chunk,
    Directory,
    DirectoryEnd,
    End,
    Fifo,
    FileEnd,
    HardLink,
    Link,
    MalformedTree,
    Record,
    RegularFile,
    TreeLimits,
    TreeRefused,
    TreeTooLarge,
)
from tests.unit.scratch import scratch

UID, GID = os.getuid(), os.getgid()
USER = 54321
LIMITS = TreeLimits()


class TreeTests(SynchronousTestCase):
    """Two directories: what is packed, and where it is unpacked."""

    def setUp(self) -> None:
        top = Path(scratch(self))
        self.here, self.there = top / "here", top / "there"
        for directory in (top, self.here, self.there):
            directory.mkdir()
        self.outside = top / "outside"
        self.outside.write_bytes(b"secret")

    def open(self, path: Path) -> int:
        """Return a descriptor of a directory."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, descriptor)
        return descriptor

    def stream(self, limits: TreeLimits = LIMITS, names: Sequence[bytes] | None = None) -> bytes:
        """Return the packed tree."""
        return b"".join(pack(self.open(self.here), UID, limits, names))

    def unpack(self, data: bytes, limits: TreeLimits = LIMITS, uid: int = UID, piece: int = 1 << 20) -> None:
        """Unpack a stream that comes in pieces."""
        unpacker = Unpacker(self.open(self.there), uid, [GID], limits)
        try:
            for at in range(0, len(data), piece):
                unpacker.feed(data[at : at + piece])
            unpacker.finish()
        finally:
            unpacker.close()

    def records(self, *found: Record, uid: int = UID) -> None:
        """Unpack these records and an end that counts them."""
        entries = sum(not isinstance(each, (DirectoryEnd, Chunk, FileEnd)) for each in found)
        data = codec.PREAMBLE + b"".join(map(codec.encode, [*found, End(entries)]))
        self.unpack(data, uid=uid)

    def test_everything_that_is_kept(self) -> None:
        """Contents, modes, times, links of both kinds, fifos and names of any bytes, in any pieces."""
        odd = os.fsencode(self.here) + b"/odd \xff\n"
        with open(odd, "wb") as file:
            file.write(b"x" * 1000)
        os.chmod(odd, 0o640)
        deep = self.here / "a" / "b"
        deep.mkdir(parents=True)
        (deep / "empty").touch()
        (deep / "script").write_text("#!/bin/sh\n")
        os.chmod(deep / "script", 0o755)
        os.link(deep / "script", self.here / "z-also")
        os.symlink("/etc/passwd", self.here / "link")
        os.mkfifo(self.here / "fifo", 0o622)
        os.chmod(self.here / "fifo", 0o622)
        os.utime(deep / "script", ns=(5, 1_234_567_890_123_456_789))
        os.utime(self.here / "link", ns=(5, 77), follow_symlinks=False)
        os.utime(deep, ns=(5, -99_000_000_001))
        self.unpack(self.stream(), piece=3)
        self.assertEqual(self.described(self.there), self.described(self.here))
        self.assertEqual((self.there / "a/b/script").stat().st_ino, (self.there / "z-also").stat().st_ino)

    def described(self, top: Path) -> dict[bytes, tuple[object, ...]]:
        """Return what can be said of every entry below ``top``."""
        found: dict[bytes, tuple[object, ...]] = {}
        for directory, directories, files in os.walk(os.fsencode(top)):
            for name in [*directories, *files]:
                path = os.path.join(directory, name)
                status = os.lstat(path)
                content: object = None
                if stat.S_ISREG(status.st_mode):
                    content = Path(os.fsdecode(path)).read_bytes()
                elif stat.S_ISLNK(status.st_mode):
                    content = os.readlink(path)
                links = 1 if stat.S_ISDIR(status.st_mode) else status.st_nlink
                key = os.path.relpath(path, os.fsencode(top))
                found[key] = (
                    status.st_mode,
                    status.st_mtime_ns,
                    status.st_uid,
                    status.st_gid,
                    links,
                    content,
                )
        return found

    def test_holes_stay_holes(self) -> None:
        """A file of a gigabyte with a few bytes in it costs a few bytes, on the way and there."""
        with open(self.here / "sparse", "wb") as file:
            file.write(b"begin")
            file.seek(1 << 30)
            file.write(b"end")
            file.truncate((1 << 30) + (1 << 20))
        data = self.stream()
        self.assertLess(len(data), 1 << 20)
        self.unpack(data)
        status = (self.there / "sparse").stat()
        self.assertEqual(status.st_size, (1 << 30) + (1 << 20))
        self.assertLess(status.st_blocks * 512, 1 << 20)
        with open(self.there / "sparse", "rb") as file:
            self.assertEqual(file.read(6), b"begin\0")
            file.seek(1 << 30)
            self.assertEqual(file.read(4), b"end\0")

    def test_only_what_is_named(self) -> None:
        """A file of a directory travels without its neighbours; one that is not there is named."""
        for name in ("one", "two"):
            (self.here / name).write_text(name)
        self.unpack(self.stream(names=[b"two"]))
        self.assertEqual(os.listdir(self.there), ["two"])
        with self.assertRaisesRegex(TreeRefused, "three is not there"):
            self.stream(names=[b"three"])

    def test_a_link_is_never_followed(self) -> None:
        """A link to a file or directory outside arrives as a link; what it leads to stays outside."""
        os.symlink("../outside", self.here / "file")
        os.symlink("..", self.here / "up")
        self.assertNotIn(b"secret", data := self.stream())
        self.unpack(data)
        self.assertEqual(os.readlink(self.there / "up"), "..")

    def test_sockets_are_left_out(self) -> None:
        """Nobody answers at a copy of a socket."""
        (self.here / "file").touch()
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        directory = self.open(self.here)
        listening.bind(f"/proc/self/fd/{directory}/socket")
        self.unpack(self.stream())
        self.assertEqual(os.listdir(self.there), ["file"])

    def test_set_id_bits_stay_behind(self) -> None:
        """A program that runs as its owner, and a directory that gives its group, arrive without that."""
        (self.here / "program").touch()
        os.chmod(self.here / "program", 0o6755)
        (self.here / "shared").mkdir()
        os.chmod(self.here / "shared", 0o3775)
        self.unpack(self.stream())
        self.assertEqual((self.there / "program").stat().st_mode & 0o7777, 0o755)
        self.assertEqual((self.there / "shared").stat().st_mode & 0o7777, 0o1775)

    def test_a_directory_without_write_permission(self) -> None:
        """Its contents, and hard links into it, are made before it gets its mode."""
        closed = self.here / "closed" / "inner"
        closed.mkdir(parents=True)
        (closed / "file").write_text("x")
        os.link(closed / "file", self.here / "later")
        for directory in (closed, closed.parent):
            os.chmod(directory, 0o500)
            os.utime(directory, ns=(5, 1_000_000_007))
        owner = USER if UID == 0 else UID
        data = b"".join(pack(self.open(self.here), owner, LIMITS, owners=Owners.ADOPT))
        self.there.parent.parent.chmod(0o755)
        self.there.chmod(0o777)
        self.assertEqual(self.status_of(lambda: self.unpack(data, uid=owner)), 0)
        inner = self.there / "closed/inner"
        for directory in (inner.parent, inner):
            found = directory.stat()
            self.assertEqual((stat.S_IMODE(found.st_mode), found.st_mtime_ns), (0o500, 1_000_000_007))
            self.assertEqual(found.st_uid, owner)
        self.assertEqual((inner / "file").stat().st_ino, (self.there / "later").stat().st_ino)
        for directory in (inner.parent, inner, closed.parent, closed):
            os.chmod(directory, 0o700)

    def status_of(self, work: Callable[[], None]) -> int:
        """Do ``work`` in a child without root's rights and return its exit status."""
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                if UID == 0:
                    os.setgroups([])
                    os.setresgid(USER, USER, USER)
                    os.setresuid(USER, USER, USER)
                work()
                status = 0
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def test_limits_hold_at_both_ends(self) -> None:
        """Neither a tree nor a stream takes more than it may."""
        (self.here / "a" / "b").mkdir(parents=True)
        (self.here / "a" / "b" / "file").write_bytes(b"x" * 5000)
        data = self.stream()
        for limits in (
            TreeLimits(entries=2), TreeLimits(size=4999), TreeLimits(depth=1), TreeLimits(path=7),
        ):  # fmt: skip
            with self.assertRaises(TreeTooLarge):
                self.stream(limits)
            with self.assertRaises(TreeTooLarge):
                self.unpack(data, limits)
            for entry in os.listdir(self.there):
                os.rename(self.there / entry, self.there.parent / f"moved-{id(limits)}")

    def test_measuring_refuses_what_packing_refuses(self) -> None:
        """The size is known, and too much is refused, before anything is read."""
        (self.here / "a").mkdir()
        (self.here / "a" / "file").write_bytes(b"x" * 5000)
        directory = self.open(self.here)
        self.assertEqual(measure(directory, UID, TreeLimits()), (2, 5000))
        with self.assertRaises(TreeTooLarge):
            measure(directory, UID, TreeLimits(size=4999))
        with self.assertRaisesRegex(TreeRefused, "belongs to another user"):
            measure(directory, UID + 1, TreeLimits())

    def test_files_of_other_users(self) -> None:
        """They are refused by name, or become the user's own, as whoever packs decides."""
        (self.here / "file").write_text("x")
        directory = self.open(self.here)
        with self.assertRaisesRegex(TreeRefused, f"file belongs to another user, uid {UID}"):
            list(pack(directory, USER, TreeLimits()))
        data = b"".join(pack(directory, USER, TreeLimits(), owners=Owners.ADOPT))
        owners = [record.uid for record in codec.TreeDecoder().feed(data) if isinstance(record, RegularFile)]
        self.assertEqual(owners, [USER])
        kept = b"".join(pack(directory, USER, TreeLimits(), owners=Owners.KEEP))
        with self.assertRaisesRegex(MalformedTree, "and is for 54321"):
            self.unpack(kept, uid=USER)

    def test_a_device_is_refused(self) -> None:
        """It is neither read nor made."""
        with self.assertRaisesRegex(TreeRefused, "null is a device"):
            list(pack(self.open(Path("/dev")), UID, TreeLimits(), [b"null"], owners=Owners.ADOPT))

    def test_another_file_system_is_not_entered(self) -> None:
        """What is mounted in the tree is refused, or an empty directory."""
        root = self.open(Path("/"))
        with self.assertRaisesRegex(TreeRefused, "proc is another file system"):
            list(pack(root, 0, TreeLimits(), [b"proc"], mounts=Mounts.REFUSE))
        data = b"".join(pack(root, 0, TreeLimits(), [b"proc"]))
        found = [type(record) for record in codec.TreeDecoder().feed(data)]
        self.assertEqual(found, [Directory, DirectoryEnd, End])

    # -- what a stream may not do

    def test_an_entry_that_is_there_already(self) -> None:
        """A name that comes twice is refused, also where the first one was a link that leads out."""
        for first in (
            [Link(UID, GID, 0, b"x", os.fsencode(self.outside))],
            [RegularFile(UID, GID, 0o600, 0, b"x"), FileEnd(0, 0)],
            [Fifo(UID, GID, 0o600, 0, 0, b"x")],
            [Directory(UID, GID, 0o700, b"x"), DirectoryEnd(0)],
        ):
            for second in (
                [RegularFile(UID, GID, 0o600, 0, b"x"), Chunk(0, b"evil"), FileEnd(4, 0)],
                [Directory(UID, GID, 0o700, b"x"), DirectoryEnd(0)],
                [Fifo(UID, GID, 0o600, 0, 0, b"x")],
                [Link(UID, GID, 0, b"x", b"y")],
            ):
                with self.assertRaisesRegex(TreeRefused, "x comes twice"):
                    self.records(*first, *second)
                path = self.there / "x"
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        self.assertEqual(self.outside.read_bytes(), b"secret")

    def test_a_file_under_a_link(self) -> None:
        """A directory is never entered through a link, whether the stream made it or it was there."""
        os.symlink(self.here, self.there / "link")
        with self.assertRaisesRegex(TreeRefused, "link comes twice"):
            self.records(
                Directory(UID, GID, 0o700, b"link"),
                *(RegularFile(UID, GID, 0o600, 0, b"x"), FileEnd(0, 0)),
                DirectoryEnd(0),
            )
        self.assertEqual(os.listdir(self.here), [])

    def test_a_hard_link_through_a_link(self) -> None:
        """The directory of the first name was replaced by a link: nothing outside gets a name."""
        data: list[Record] = [
            Directory(UID, GID, 0o700, b"d"), RegularFile(UID, GID, 0o600, 1, b"outside"),
            FileEnd(0, 0), DirectoryEnd(0),
        ]  # fmt: skip
        unpacker = Unpacker(self.open(self.there), UID, [GID], TreeLimits())
        self.addCleanup(unpacker.close)
        unpacker.feed(codec.PREAMBLE + b"".join(map(codec.encode, data)))
        os.rename(self.there / "d", self.there / "e")
        os.symlink("..", self.there / "d")
        with self.assertRaisesRegex(TreeRefused, "stolen cannot be written"):
            unpacker.feed(codec.encode(HardLink(1, b"stolen")))
        self.assertFalse((self.there / "stolen").exists())

    def test_files_for_others(self) -> None:
        """A stream for a user has files of that user only; a group that is not the user's is not given."""
        for record in (
            RegularFile(0, 0, 0o644, 0, b"x"), Directory(0, 0, 0o755, b"x"), Link(0, 0, 0, b"x", b"y"),
            Fifo(0, 0, 0, 0, 0, b"x"),
        ):  # fmt: skip
            with self.assertRaises(MalformedTree):
                self.records(record, uid=USER)
        self.assertEqual(os.listdir(self.there), [])

    def test_a_stream_that_ends_early(self) -> None:
        """It is never taken for a whole one."""
        (self.here / "file").write_text("x")
        with self.assertRaisesRegex(MalformedTree, "ends in the middle"):
            self.unpack(self.stream()[:-1])
