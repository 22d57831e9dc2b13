"""A scan goes on past a process whose files block. The blocking is an event's, the threads are real."""

from __future__ import annotations

import os
import threading

from twisted.trial.unittest import SynchronousTestCase

from gomd.sources.files import ProcRoot
from gomd.sources.linux.pidstatus import parse_pid_status
from gomd.sources.linux.scan import ProcessScanner
from gomd.sources.linux.stuck import MAX_STUCK_OF_ROOT
from gomd.sources.locks import ProcessLocks
from gomd.sources.usernames import UserNames
from libgomd.errors import NotFound, SourceUnavailable, TimedOut
from libgomd.model import Process
from tests.unit.sources.linux_proc import copied
from tests.unit.sources.source_under_test import NOW

#: Seconds for a thread to do what it was let go for, on a machine that is busy.
PATIENCE = 20.0
STATUS = (
    "Name:\tsim\\nulate\nState:\tS (sleeping)\nTgid:\t{0}\nPid:\t{0}\nPPid:\t1\nUid:\t7\t{1}\t7\t7\n"
    "VmSize:\t    1000 kB\nVmRSS:\t     20 kB\nThreads:\t3\n"
)


class _Scanned(SynchronousTestCase):
    """A scanner whose reads of stat files block when they are told to."""

    def setUp(self) -> None:
        self.tree = copied(self)
        self.blocked: dict[int, threading.Event] = {}
        self.reads: list[int] = []
        self.scanner = ProcessScanner(
            ProcRoot(str(self.tree)), 7, ProcessLocks().locked, open_file=self.open, hang_timeout=0.02
        )
        self.now = NOW
        self.addCleanup(self.let_go)

    def open(self, path: bytes, flags: int) -> int:
        pid = int(path.split(b"/")[-2])
        self.reads.append(pid)
        if pid in self.blocked:
            self.blocked[pid].wait(PATIENCE)
        return os.open(path, flags)

    def block(self, pid: int, status: bool = True) -> None:
        self.blocked[pid] = threading.Event()
        if status:
            (self.tree / str(pid) / "status").write_text(STATUS.format(pid, os.geteuid()))

    def let_go(self) -> None:
        workers = [each for each in threading.enumerate() if each.name == "hung scan"]
        for event in self.blocked.values():
            event.set()
        self.blocked.clear()
        for worker in workers:
            worker.join(PATIENCE)

    def make(self, pid: int) -> None:
        (self.tree / str(pid)).mkdir()
        (self.tree / str(pid) / "cmdline").write_bytes(b"")
        text = (self.tree / "4711" / "stat").read_text()
        (self.tree / str(pid) / "stat").write_text(text.replace("4711 ", f"{pid} ", 1))

    def scan(self, seconds: float = 5.0) -> dict[int, Process]:
        self.now += seconds
        return {process.pid: process for process in self.scanner.scan(self.now)}


class StuckTests(_Scanned):
    """Scans."""

    def test_what_is_known_is_shown_and_the_rest_is_fresh(self) -> None:
        """It is marked, with its age; its state is its status's; a new process behind it is there."""
        before = self.scan()
        self.block(4711)
        self.make(5000)
        found = self.scan()
        stuck = found[4711]
        self.assertEqual(list(found), sorted(found))
        self.assertEqual((stuck.stuck, stuck.age, stuck.state, stuck.rss), (True, 5.0, "S", 20 * 1024))
        self.assertEqual((stuck.command, stuck.started), (before[4711].command, before[4711].started))
        self.assertIsNone(stuck.cpu_percent)
        self.assertEqual((found[5000].stuck, found[5000].age), (False, None))
        self.assertEqual(self.scan()[4711].age, 10.0)

    def test_it_is_not_touched_again_until_the_kernel_lets_go(self) -> None:
        """One thread for it, however many scans; then it is read as before, its first share unknown."""
        self.scan()
        self.block(4711)
        for _ in range(4):
            self.assertTrue(self.scan()[4711].stuck)
        self.assertEqual(self.reads.count(4711), 2)
        self.let_go()
        after = self.scan()[4711]
        self.assertEqual((after.stuck, after.age, after.cpu_percent), (False, None, None))
        self.assertEqual(self.scan()[4711].cpu_percent, 0.0)

    def test_one_that_was_never_read_is_shown_by_its_status(self) -> None:
        """Its name, its user, its memory; when it started is not known, and then it is."""
        self.block(4711)
        found = self.scan()[4711]
        self.assertEqual((found.command, found.vsize, found.threads), ("[sim\\nulate]", 1000 * 1024, 3))
        self.assertEqual((found.start_time, found.started, found.age), (None, 0, None))
        self.assertEqual(self.scanner.read(4711, self.now), found)
        self.let_go()
        self.assertEqual(self.scan()[4711].started, 186307)

    def test_its_status_may_be_missing_too(self) -> None:
        """Then what is known is shown no more than what is not; nothing else is lost."""
        self.block(4711, status=False)
        (self.tree / "4711" / "status").unlink(missing_ok=True)
        found = self.scan()
        self.assertNotIn(4711, found)
        self.assertIn(4712, found)
        self.assertRaises(TimedOut, self.scanner.read, 4711, self.now)

    def test_a_user_of_whom_many_hang_is_looked_at_from_outside(self) -> None:
        """So many threads and no more, whatever the user starts; all their processes are shown."""
        self.scan()  # its thread stays for the next scan
        for pid in range(6000, 6000 + MAX_STUCK_OF_ROOT + 10):
            self.make(pid)
            self.block(pid)
        before = threading.active_count()
        for _ in range(3):
            found = self.scan()
            self.assertTrue(all(found[pid].stuck for pid in self.blocked))
        self.assertLessEqual(threading.active_count() - before, MAX_STUCK_OF_ROOT + 1)


class GuardTests(_Scanned):
    """Reads that somebody asks for, beside the scans."""

    def test_a_read_that_hangs_is_told_and_not_done_again(self) -> None:
        """One thread for it; what comes later is told at once; when it is let go it is read again."""
        self.scan()
        hung = threading.Event()
        self.addCleanup(hung.set)
        reads: list[int] = []

        def read() -> bytes:
            reads.append(1)
            hung.wait(PATIENCE)
            return b"late"

        for _ in range(3):
            self.assertRaises(TimedOut, self.scanner.guard, 4711, read)
        self.assertEqual(len(reads), 1)
        (self.tree / "4711" / "status").write_text(STATUS.format(4711, os.geteuid()))
        self.assertTrue(self.scan()[4711].stuck)
        self.assertTrue(self.scanner.read(4711, self.now).stuck)
        workers = [each for each in threading.enumerate() if each.name == "hung scan"]
        hung.set()
        for worker in workers:
            worker.join(PATIENCE)
        self.assertFalse(self.scan()[4711].stuck)
        self.assertEqual(self.scanner.guard(4711, lambda: b"now"), b"now")

    def test_errors_are_those_of_the_read(self) -> None:
        """And nothing is left of it."""

        def fail() -> bytes:
            raise NotFound("it has no such file")

        self.assertRaises(NotFound, self.scanner.guard, 4711, fail)
        self.assertEqual(self.scanner.guard(4711, lambda: b"data"), b"data")


class StatusTests(SynchronousTestCase):
    def test_no_other_bytes_are_a_status(self) -> None:
        """One named error."""
        for data in (b"", b"Pid:\t1", b"\0" * 50, STATUS.encode().replace(b"Uid:\t7", b"Uid:")[:60]):
            self.assertRaises(SourceUnavailable, parse_pid_status, data)


class UserNamesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.free = threading.Event()
        self.addCleanup(self.free.set)
        self.asked: list[int] = []

    def find(self, uid: int) -> str:
        self.asked.append(uid)
        if uid >= 100:
            self.free.wait(PATIENCE)
        return f"user{uid}"

    def test_a_directory_server_that_hangs_is_not_waited_for(self) -> None:
        """Its users have numbers, a few threads ask; the names come when it answers."""
        names = UserNames(self.find, timeout=0.01)
        numbers = [str(uid) for uid in range(100, 130)]
        self.assertEqual([names.name(uid, 5.0) for uid in range(100, 130)], numbers)
        self.assertEqual(len(self.asked), 4)
        self.assertFalse(names.refresh(5.0))
        waiting = [each for each in threading.enumerate() if each.name == "user name"]
        self.free.set()
        for each in waiting:
            each.join(PATIENCE)
        self.assertTrue(names.refresh(5.0))
        self.assertFalse(names.refresh(5.0))
        self.assertEqual(names.name(103, 5.0), "user103")

    def test_a_name_that_is_there_is_asked_for_once(self) -> None:
        names = UserNames(self.find, timeout=PATIENCE)
        found = [names.name(uid, 5.0) for uid in (5, 5, 6)]
        self.assertEqual(found, ["user5", "user5", "user6"])
        self.assertEqual(self.asked, [5, 6])

    def test_a_known_name_stays_while_the_server_hangs(self) -> None:
        """A look-up that is due again and not answered changes no name, and is waited for once a scan."""
        names = UserNames(self.find, timeout=PATIENCE)
        self.free.set()
        names.name(100, 0.0)
        names.name(101, 0.0)
        self.free.clear()
        slow = UserNames(self.find, timeout=0.01)
        slow._names = dict(names._names)
        self.assertFalse(slow.refresh(1000.0))
        self.assertEqual(slow.name(100, 1000.0), "user100")
