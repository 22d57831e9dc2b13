"""Stat files that stay open between scans: fewer calls, and never another process's values."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
import threading

from twisted.trial.unittest import SynchronousTestCase

from gomd.sources.files import ProcRoot
from gomd.sources.linux.kept_files import MAX_KEPT, KeptFiles, kept_files_of
from gomd.sources.linux.scan import ProcessScanner
from gomd.sources.locks import ProcessLocks
from libgomd.model import Process
from tests.unit.sources.linux_proc import copied
from tests.unit.sources.source_under_test import NOW
from tests.unit.sources.test_linux_stuck import STATUS

#: Seconds for a thread to do what it was let go for, on a machine that is busy.
PATIENCE = 20.0


class KeptFilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.closed: list[int] = []
        self.kept = KeptFiles(2, self.closed.append)

    def test_no_more_than_the_most_are_kept(self) -> None:
        for pid in (1, 2, 3):
            self.kept.keep(pid, 100 + pid)
        self.assertEqual((self.kept.descriptors, self.closed), ({1: 101, 2: 102}, [103]))

    def test_a_process_has_one_file(self) -> None:
        """A thread that hung and returned late may bring a second one."""
        self.kept.keep(1, 101)
        self.kept.keep(1, 201)
        self.assertEqual((self.kept.descriptors, self.closed), ({1: 101}, [201]))

    def test_files_are_closed_once(self) -> None:
        self.kept.keep(1, 101)
        self.kept.drop(1)
        self.kept.drop(1)
        self.assertEqual((self.kept.descriptors, self.closed), ({}, [101]))

    def test_those_of_ended_processes_are_closed(self) -> None:
        self.kept.keep(1, 101)
        self.kept.keep(2, 102)
        self.kept.prune({2: None})
        self.assertEqual((self.kept.descriptors, self.closed), ({2: 102}, [101]))

    def test_all_are_closed_when_another_proc_is_mounted_there(self) -> None:
        """Its pids are other processes."""
        self.kept.at((20, 1))
        self.kept.keep(1, 101)
        self.kept.at((20, 1))
        self.assertEqual(self.closed, [])
        self.kept.at((31, 1))
        self.assertEqual((self.kept.descriptors, self.closed), ({}, [101]))

    def test_nothing_stays_open_behind_it(self) -> None:
        self.kept.keep(1, 101)
        del self.kept
        self.assertEqual(self.closed, [101])

    def test_a_captured_tree_and_an_ordinary_user_keep_none(self) -> None:
        """Files on a disk outlive a process; an ordinary user may be shown less later."""
        for kept in (kept_files_of(ProcRoot(self.mktemp()), True), kept_files_of(ProcRoot("/proc"), False)):
            kept.keep(1, os.open(os.devnull, os.O_RDONLY))
            self.assertEqual(kept.descriptors, {})

    def test_they_are_a_share_of_the_descriptors(self) -> None:
        code = (
            "import resource, os; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
            "from gomd.sources.files import ProcRoot\n"
            "from gomd.sources.linux.kept_files import kept_files_of\n"
            "kept = kept_files_of(ProcRoot('/proc'), True)\n"
            "[kept.keep(pid, os.open(os.devnull, os.O_RDONLY)) for pid in range(100)]\n"
            "print(len(kept.descriptors))"
        )
        found = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
        )
        self.assertEqual(found.stdout, "16\n")
        self.assertGreaterEqual(MAX_KEPT, 1000)


class KeptScanTests(SynchronousTestCase):
    """Scans of a tree on a disk, whose kept files fail when a test says so."""

    def setUp(self) -> None:
        self.tree = copied(self)
        self.opened: list[int] = []
        self.ended: set[int] = set()
        self.blocked: threading.Event | None = None
        self.kept = KeptFiles(100)
        self.scanner = ProcessScanner(
            ProcRoot(str(self.tree)), 7, ProcessLocks().locked, open_file=self.open, hang_timeout=0.02,
            kept=self.kept, read_kept=self.read,
        )  # fmt: skip
        self.now = NOW

    def open(self, path: bytes, flags: int) -> int:
        self.opened.append(int(path.split(b"/")[-2]))
        return os.open(path, flags)

    def read(self, descriptor: int, size: int, at: int) -> bytes:
        pid = next(pid for pid, kept in self.kept.descriptors.items() if kept == descriptor)
        if pid == 4711 and self.blocked is not None:
            self.blocked.wait(PATIENCE)
        if pid in self.ended:
            raise ProcessLookupError(errno.ESRCH, "No such process")
        return os.pread(descriptor, size, at)

    def scan(self) -> dict[int, Process]:
        self.now += 5.0
        self.opened.clear()
        return {process.pid: process for process in self.scanner.scan(self.now)}

    def test_files_are_opened_by_two_scans_and_read_by_all_others(self) -> None:
        """A process that is gone by the next scan costs no descriptor."""
        pids = list(self.scan())
        self.assertEqual(self.kept.descriptors, {})
        self.scan()
        self.assertEqual((self.opened, sorted(self.kept.descriptors)), (pids, pids))
        before = self.scan()
        self.assertEqual(self.opened, [])
        path = self.tree / "4711" / "stat"
        path.write_bytes(path.read_bytes().replace(b" R ", b" S ", 1))
        self.assertEqual((before[4711].state, self.scan()[4711].state), ("R", "S"))
        self.assertEqual(self.opened, [])

    def test_a_change_behind_the_usual_length_of_a_line_is_seen(self) -> None:
        """A line longer than what is read of it first is read to its end."""
        path = self.tree / "4711" / "stat"
        path.write_bytes(path.read_bytes().rstrip(b"\n") + b" 18446744073709551615" * 60 + b" 7\n")
        self.assertGreater(path.stat().st_size, 1024)
        for _ in range(3):
            self.scan()
        path.write_bytes(path.read_bytes()[:-3] + b" 8\n")
        self.scan()
        self.assertTrue(self.scanner._known[4711].line.endswith(b" 8\n"))

    def test_a_process_that_has_ended_is_not_shown(self) -> None:
        for _ in range(3):
            self.scan()
        descriptor = self.kept.descriptors[4711]
        shutil.rmtree(self.tree / "4711")
        self.assertNotIn(4711, self.scan())
        self.assertNotIn(4711, self.kept.descriptors)
        self.assertRaises(OSError, os.fstat, descriptor)

    def test_another_process_with_the_same_pid_is_shown_as_it_is(self) -> None:
        """The kept file belongs to the one that has ended, and says so."""
        for _ in range(3):
            self.scan()
        self.ended.add(4711)
        path = self.tree / "4711" / "stat"
        path.write_bytes(path.read_bytes().replace(b" 186307 ", b" 186999 ", 1))
        found = self.scan()[4711]
        self.assertEqual((found.started, self.opened), (186999, [4711]))

    def test_a_process_whose_kept_file_hangs_is_passed_over(self) -> None:
        """Its descriptor is closed, and opened again once the kernel answers."""
        for _ in range(3):
            pids = list(self.scan())
        (self.tree / "4711" / "status").write_text(STATUS.format(4711, os.geteuid()))
        descriptor = self.kept.descriptors[4711]
        self.blocked = blocked = threading.Event()
        workers = [each for each in threading.enumerate() if each.name == "hung scan"]
        try:
            found = self.scan()
            self.assertEqual((list(found), found[4711].stuck), (pids, True))
            self.assertNotIn(4711, self.kept.descriptors)
            self.assertRaises(OSError, os.fstat, descriptor)
            workers = [each for each in threading.enumerate() if each.name == "hung scan"]
        finally:
            blocked.set()
            for worker in workers:
                worker.join(PATIENCE)
        self.blocked = None
        self.assertFalse(self.scan()[4711].stuck)
        self.assertIn(4711, self.kept.descriptors)


class KernelTests(SynchronousTestCase):
    """The kernel's own files."""

    def test_an_open_file_stays_with_its_process(self) -> None:
        """What the scan relies on: after the end of the process it cannot be read, so it is closed."""
        kept = KeptFiles(resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        scanner = ProcessScanner(ProcRoot("/proc"), 7, frozenset, kept=kept)
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            for seconds in range(3):
                found = {each.pid: each for each in scanner.scan(NOW + seconds)}
            self.assertIn(process.pid, found)
            copy = os.dup(kept.descriptors[process.pid])
            self.addCleanup(os.close, copy)
            process.kill()
        self.assertRaises(ProcessLookupError, os.pread, copy, 100, 0)
        self.assertNotIn(process.pid, {each.pid for each in scanner.scan(NOW + 3)})
        self.assertNotIn(process.pid, kept.descriptors)
