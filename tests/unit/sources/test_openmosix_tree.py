"""Writing to openMosix: what is refused before it is written, and what the kernel refuses."""

from __future__ import annotations

import errno
import os
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from gomd.sources.files import ProcRoot
from gomd.sources.openmosix.tree import OpenMosixTree, refusal_of
from libgomd.errors import (
    Conflict,
    MalformedRequest,
    NotAllowed,
    NotFound,
    NotPossible,
    RequestError,
    SourceUnavailable,
)  # fmt: skip
from libgomd.wire.tree import TreePath
from tests.unit.sources.captured import copied, written_to
from tests.unit.sources.source_under_test import ADMIN, READER


class WritingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = copied(self, "node1")
        self.tree = OpenMosixTree(ProcRoot(str(self.root)))

    def write(self, path: str, value: str) -> None:
        self.tree.write_file(TreePath.parse(path), value)

    def test_each_setting_reaches_its_file(self) -> None:
        """What is put stands in the kernel's file as the kernel wants it: the number and a line end."""
        for path, value, written in (
            ("/proc/hpc/admin/speed", "500", b"500\n"), ("/proc/hpc/admin/bring", "1", b"1\n"),
            ("/proc/hpc/admin/expel", "1", b"1\n"), ("/proc/hpc/admin/mospe", "0", b"0\n"),
            ("/proc/36/lock", "1", b"1\n"), ("/proc/36/goto", "2", b"2\n"), ("/proc/36/goto", "home", b"0\n"),
            ("/proc/36/migrate", "0", b"0\n"), ("/proc/hpc/admin/stay", "01", b"1\n"),
        ):  # fmt: skip
            self.write(path, value)
            self.assertEqual(written_to(self.root / path[6:]), written, path)

    def test_a_process_goes_only_to_a_node_that_is_up(self) -> None:
        """openMosix takes a node that is down and does nothing; gomd says so, and of an unknown one too."""
        for name in ("goto", "migrate"):
            with self.assertRaises(NotPossible) as down:
                self.write(f"/proc/36/{name}", "3")
            self.assertIn("node 3 is down", str(down.exception))
            with self.assertRaises(NotFound) as unknown:
                self.write(f"/proc/36/{name}", "4")
            self.assertIn("node 4 is not configured", str(unknown.exception))
            self.assertEqual(written_to(self.root / "36" / name), b"")

    def test_where_a_process_can_go(self) -> None:
        """A node id, 0 or home; `balance` and what is no id are refused with what is allowed."""
        for value in ("balance", "-1", "65536", "", "HOME", "best"):
            with self.assertRaises(MalformedRequest) as caught:
                self.write("/proc/36/goto", value)
            self.assertIn("a node id from 1 to 65535, 0 or home", str(caught.exception))

    def test_nothing_is_created(self) -> None:
        """A kernel without a file gets none from gomd."""
        (self.root / "hpc/admin/quiet").unlink()
        self.assertRaises(NotFound, self.write, "/proc/hpc/admin/quiet", "1")
        self.assertFalse((self.root / "hpc/admin/quiet").exists())

    def test_nothing_outside_the_tree_is_written(self) -> None:
        """A forged tree whose `stay` is a link to another file, a FIFO or a directory is refused."""
        outside = self.root.parent / "outside"
        outside.write_bytes(b"kept\n")
        stay = self.root / "hpc/admin/stay"
        stay.unlink()
        for make in (lambda: stay.symlink_to(outside), lambda: os.mkfifo(stay), stay.mkdir):
            make()
            self.assertRaises(NotAllowed, self.write, "/proc/hpc/admin/stay", "1")
            stay.rmdir() if stay.is_dir() else stay.unlink()
        self.assertEqual(outside.read_bytes(), b"kept\n")

    def test_a_file_that_is_not_for_everybody(self) -> None:
        """What the kernel shows only to the owner is not shown to others by gomd."""
        os.chmod(self.root / "36/status", 0o400)
        path = TreePath.parse("/proc/36/status")
        self.assertRaises(NotAllowed, self.tree.read_file, path, READER)
        self.assertTrue(self.tree.read_file(path, ADMIN))

    @skipIf(os.geteuid() == 0, "root may write what is read-only")
    def test_gomd_without_the_right_says_so(self) -> None:
        """A daemon that does not run as root cannot set anything."""
        os.chmod(self.root / "hpc/admin/stay", 0o444)
        with self.assertRaises(NotPossible) as caught:
            self.write("/proc/hpc/admin/stay", "1")
        self.assertIn("root", str(caught.exception))


class RefusalTests(SynchronousTestCase):
    def test_each_error_number_has_its_sentence(self) -> None:
        """What the kernel says in a number, gomd says in one line, as the right kind of error."""
        lock, goto = TreePath.parse("/proc/2/lock"), TreePath.parse("/proc/2/goto")
        mospe, stay = TreePath.parse("/proc/hpc/admin/mospe"), TreePath.parse("/proc/hpc/admin/stay")
        cases: tuple[tuple[int, TreePath, type[Exception], str], ...] = (
            (errno.EINVAL, stay, MalformedRequest, "does not take 2"),
            (errno.EPERM, goto, NotPossible, "system's own"),
            (errno.EPERM, stay, NotPossible, "run as root"),
            (errno.EACCES, lock, NotPossible, "run as root"),
            (errno.EBUSY, mospe, Conflict, "write 0"),
            (errno.EROFS, goto, NotPossible, "kernel thread"),
            (errno.ENOENT, lock, NotFound, "2"),
            (errno.ESRCH, goto, NotFound, "2"),
            (errno.ENXIO, goto, NotPossible, "not configured"),
            (errno.ENETUNREACH, goto, NotPossible, "node 2 cannot be reached"),
            (errno.EIO, stay, SourceUnavailable, "Input/output error"),
        )
        for number, path, kind, words in cases:
            error = refusal_of(OSError(number, os.strerror(number)), path, 2)
            self.assertIs(type(error), kind, os.strerror(number))
            self.assertIn(words, str(error))
            self.assertNotIn("\n", str(error))

    def test_they_can_be_answered(self) -> None:
        """Each refusal is an error of the request, which the line protocol has a code for."""
        error = refusal_of(OSError(errno.EBUSY, ""), TreePath.parse("/proc/hpc/admin/mospe"), 5)
        assert isinstance(error, RequestError)
        self.assertEqual(error.code, 409)
