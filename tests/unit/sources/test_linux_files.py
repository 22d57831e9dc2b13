"""What gomd never shows: what is outside of /proc, and what the kernel would not show the caller."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import unittest
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gomd.sources.files import MAX_FILE_BYTES, ProcRoot
from libgomd.errors import NotAllowed, NotFound, NotPossible, SourceUnavailable
from libgomd.wire.tree import TreePath
from tests.unit.sources.linux_proc import ADMIN, READER, STRANGER, copied, directory, source_over
from tests.unit.sources.source_under_test import NOW


class SafeReadingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.outside = directory(self)
        (self.outside / "secret").write_text("a secret")
        self.path = directory(self) / "proc"
        (self.path / "self").mkdir(parents=True)
        (self.path / "self" / "mounts").write_text("proc /proc proc rw 0 0\n")
        self.root = ProcRoot(str(self.path))

    def test_a_link_inside_is_followed(self) -> None:
        """/proc/mounts is a link to self/mounts, on every kernel."""
        (self.path / "mounts").symlink_to("self/mounts")
        self.assertEqual(self.root.read("mounts", READER), b"proc /proc proc rw 0 0\n")

    def test_a_link_that_leads_out_is_refused(self) -> None:
        """Neither a file nor a directory outside is shown, to nobody."""
        (self.path / "loadavg").symlink_to(self.outside / "secret")
        (self.path / "net").symlink_to(self.outside)
        for name in ("loadavg", "net/secret"):
            self.assertRaises(NotAllowed, self.root.read, name, ADMIN)
        self.assertRaises(NotAllowed, self.root.names, "net")

    def test_a_neighbour_whose_name_begins_alike_is_outside(self) -> None:
        """/x/proc-old is not below /x/proc."""
        near = self.path.with_name("proc-old")
        near.mkdir()
        (near / "secret").write_text("a secret")
        (self.path / "stat").symlink_to(near / "secret")
        self.assertRaises(NotAllowed, self.root.read, "stat", ADMIN)

    def test_a_root_that_is_a_link_itself_is_fine(self) -> None:
        """`--proc-root` may be a link to a captured tree."""
        link = self.outside / "link"
        link.symlink_to(self.path)
        self.assertEqual(ProcRoot(str(link)).read("self/mounts"), b"proc /proc proc rw 0 0\n")

    def test_a_fifo_does_not_hang_the_daemon(self) -> None:
        """A FIFO in the place of a file is refused at once, even a process's."""
        os.mkfifo(self.path / "stat")
        self.assertRaises(NotAllowed, self.root.read, "stat", ADMIN)
        tree = copied(self)
        os.unlink(tree / "4711" / "stat")
        os.mkfifo(tree / "4711" / "stat")
        pids = [process.pid for process in source_over(self, tree).processes(NOW).processes]
        self.assertEqual(pids, [1, 2, 4712])

    def test_a_directory_is_no_file(self) -> None:
        """Reading a directory is refused with a sentence."""
        self.assertRaises(NotAllowed, self.root.read, "self", ADMIN)

    def test_a_huge_file_is_refused(self) -> None:
        """No file is read without bound; one of exactly the limit is read whole."""
        with open(self.path / "stat", "wb") as file:
            file.truncate(MAX_FILE_BYTES)
        self.assertEqual(len(self.root.read("stat")), MAX_FILE_BYTES)
        with open(self.path / "stat", "ab") as file:
            file.write(b"x")
        self.assertRaises(NotPossible, self.root.read, "stat")

    def test_what_is_missing_is_not_found(self) -> None:
        """A missing file, process and root: 404 each; for a sample it is an unavailable part."""
        self.assertRaises(NotFound, self.root.read, "vmstat")
        self.assertRaises(NotFound, self.root.read, "77/stat")
        self.assertRaises(NotFound, self.root.owner, 77)
        self.assertRaises(SourceUnavailable, self.root.sample_text, "vmstat")
        self.assertRaises(NotFound, ProcRoot(str(self.path / "gone")).names)

    def test_nothing_is_left_open(self) -> None:
        """Refusing costs no descriptor: a daemon lives for months."""
        os.mkfifo(self.path / "stat")
        (self.path / "loadavg").symlink_to(self.outside / "secret")
        before = len(os.listdir("/proc/self/fd"))
        for name in ("stat", "loadavg", "vmstat", "self", "self/mounts") * 20:
            try:
                self.root.read(name, READER)
            except (NotAllowed, NotFound):
                pass
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


class PermissionTests(SynchronousTestCase):
    """The daemon may read more than its callers; what it shows is by the caller."""

    def setUp(self) -> None:
        self.tree = copied(self)
        self.source = source_over(self, self.tree)
        self.owner = dataclasses.replace(STRANGER, uid=os.geteuid())

    def test_a_private_file_is_for_its_owner_and_admins(self) -> None:
        """`get /proc/PID/io` of another's process: 403."""
        path = TreePath.parse("/proc/4711/io")
        for caller in (READER, STRANGER):
            self.assertRaises(NotAllowed, self.source.read_file, path, caller)
        for caller in (ADMIN, self.owner):
            self.assertTrue(self.source.read_file(path, caller).startswith(b"rchar: 9000\n"))

    def test_addresses_in_stat_are_for_the_owner_and_admins(self) -> None:
        """Where a program lies in memory helps an attacker: others see what the kernel writes for them."""
        path = TreePath.parse("/proc/4711/stat")
        whole = (self.tree / "4711" / "stat").read_bytes()
        masked = (
            b"4711 (my (odd) S 1 name) R 1 4711 4711 0 -1 4194304 76 0 0 0 250 50 0 0 25 5 3 0 186307 "
            b"2990080 389 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        )
        for caller in (ADMIN, self.owner):
            self.assertEqual(self.source.read_file(path, caller), whole)
        for caller in (READER, STRANGER):
            self.assertEqual(self.source.read_file(path, caller), masked)

    @unittest.skipUnless(os.geteuid() == 0, "only root can ask the kernel as another user")
    def test_the_kernel_masks_the_same(self) -> None:
        """A stranger sees byte for byte what `cat` as that user would show."""
        child = subprocess.Popen(["sleep", "60"])
        try:
            path = f"/proc/{child.pid}/stat"
            while b"(sleep)" not in Path(path).read_bytes():
                pass  # not yet exec'd
            source = source_over(self, Path("/proc"))
            for _ in range(50):  # the child may be about to fall asleep
                theirs = subprocess.run(
                    ["cat", path], user=STRANGER.uid, capture_output=True, check=True
                ).stdout
                ours = source.read_file(TreePath.parse(path), STRANGER)
                if ours == theirs:
                    break
            self.assertEqual(ours, theirs)
            self.assertNotEqual(source.read_file(TreePath.parse(path), ADMIN), ours)
        finally:
            child.kill()
            child.wait()

    def test_hidden_processes_are_not_there_for_others(self) -> None:
        """Where /proc is mounted with hidepid, gomd hides what the kernel hides."""
        for option in ("hidepid=2", "hidepid=invisible", "hidepid=1,gid=7", "hidepid=ptraceable"):
            (self.tree / "mounts").write_text(f"proc {self.tree} proc rw,nosuid,{option} 0 0\n")
            source = source_over(self, self.tree)
            self.assertTrue(source.hides_others)
            for name in ("stat", "cmdline", "where", ""):
                path = TreePath.parse(f"/proc/4711/{name}")
                act = source.read_file if name else source.list_directory
                for caller in (READER, STRANGER):
                    self.assertRaises(NotFound, act, path, caller)
                for caller in (ADMIN, self.owner):
                    self.assertTrue(act(path, caller))
            root = TreePath.parse("/proc")
            self.assertNotIn("4711", source.list_directory(root, STRANGER))
            self.assertIn("4711", source.list_directory(root, self.owner))

    def test_what_cannot_be_told_is_hidden(self) -> None:
        """Before it was ever known; later what was known last stays, whichever that was."""
        mounts = self.tree / "mounts"
        unreadable = self.tree / "elsewhere"
        mounts.unlink()
        mounts.symlink_to("/etc")  # no file: reading fails
        source = source_over(self, self.tree)
        self.assertTrue(source.hides_others)
        self.assertRaises(NotFound, source.read_file, TreePath.parse("/proc/4711/cmdline"), STRANGER)
        for option, hidden in (("rw", False), ("rw,hidepid=2", True)):
            mounts.unlink()
            mounts.write_text(f"proc {self.tree} proc {option} 0 0\n")
            source.processes(NOW)
            mounts.rename(unreadable)
            mounts.symlink_to("/etc")
            source.processes(NOW)
            self.assertEqual(source.hides_others, hidden)

    def test_thousands_of_mounts(self) -> None:
        """Megabytes of them do not hide that /proc hides processes."""
        overlay = "overlay /var/lib/containers/%d/merged overlay rw,lowerdir=" + "/var/lib/l/ABCDEFGHIJ:" * 90
        lines = [overlay % number for number in range(3000)]
        text = "\n".join([*lines, f"proc {self.tree} proc rw,hidepid=2 0 0", *lines]) + "\n"
        self.assertGreater(len(text), MAX_FILE_BYTES)
        (self.tree / "mounts").write_text(text)
        self.assertTrue(source_over(self, self.tree).hides_others)

    def test_a_tree_whose_name_has_a_space(self) -> None:
        """The kernel writes it as \\040."""
        tree = self.tree.rename(self.tree.parent / "a tree")
        point = str(tree).replace(" ", "\\040")
        (tree / "mounts").write_text(f"proc {point} proc rw,hidepid=2 0 0\n")
        self.assertTrue(source_over(self, tree).hides_others)

    def test_hiding_is_noticed_while_it_runs(self) -> None:
        """/proc can be mounted anew with other options; the next scan knows."""
        self.assertFalse(self.source.hides_others)
        (self.tree / "mounts").write_text(f"proc {self.tree} proc rw,hidepid=2 0 0\n")
        self.source.processes(NOW)
        self.assertTrue(self.source.hides_others)
        line = f"proc {self.tree} proc rw,hidepid=2 0 0\nproc {self.tree} proc rw,hidepid=off 0 0\n"
        (self.tree / "mounts").write_text(line)
        self.source.processes(NOW)
        self.assertFalse(self.source.hides_others)
