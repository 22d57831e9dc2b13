"""Scanning processes: what is reused, what is read again, and what vanishes in between."""

from __future__ import annotations

import errno
import os
import shutil
import threading

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from gomd.sources.files import ProcRoot
from gomd.sources.linux.process_visitor import ROTATION
from gomd.sources.linux.scan import ProcessScanner
from gomd.sources.locks import ProcessLocks
from gomd.sources.usernames import KNOWN_LIFETIME, UNKNOWN_LIFETIME, UserNames
from libgomd.errors import NotFound, SourceUnavailable
from libgomd.model import Process
from tests.unit.sources.linux_proc import copied
from tests.unit.sources.source_under_test import NOW


def _later(process: Process, seconds: float) -> float:
    """Return when a process started, and ``seconds`` more."""
    assert process.start_time is not None
    return process.start_time + seconds


class ScanTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tree = copied(self)
        self.scanner = ProcessScanner(ProcRoot(str(self.tree)), 7, ProcessLocks().locked)
        self.now = NOW

    def scan(self, seconds: float = 5.0) -> dict[int, Process]:
        self.now += seconds
        return {process.pid: process for process in self.scanner.scan(self.now)}

    def change(self, old: str, new: str, name: str = "4711/stat") -> None:
        path = self.tree / name
        text = path.read_bytes()
        assert old.encode() in text
        path.write_bytes(text.replace(old.encode(), new.encode()))

    def test_every_field_of_a_process(self) -> None:
        """What `ps` shows of one process."""
        uid, page = os.geteuid(), os.sysconf("SC_PAGE_SIZE")
        found = self.scan()[4711]
        self.assertEqual(
            found,
            Process(
                node=7, home=7, pid=4711, ppid=1, uid=uid, user=found.user, state="R", nice=5, threads=3,
                cpu_percent=None, cpu_seconds=3.0, rss=389 * page, vsize=2990080,
                start_time=1795342775 + 1863.07, where=0, nmigs=0, lock=False, cantmove="foreign",
                command="./simulate --steps \\x1b[31m\\xff", started=186307, name=found.name,
            ),
        )  # fmt: skip
        self.assertEqual((found.identity, found.name), ("7-4711-186307", "my (odd) S 1 name"))

    def settled(self) -> dict[int, Process]:
        """Scan until nothing is in motion; return the processes."""
        for _ in range(3):
            found = self.scan()
        return found

    def test_a_boot_time_that_changes_is_that_of_processes_at_rest_too(self) -> None:
        """No clock at boot, NTP later: `ps` shows when a process started, by the clock as it is now."""
        old = self.settled()
        self.change("btime 1795342775", "btime 1795349975", "stat")
        new = self.scan()
        for pid, process in old.items():
            self.assertEqual(new[pid].start_time, _later(process, 7200), pid)
            self.assertEqual(new[pid].identity, process.identity)
        self.assertEqual(self.scanner.read(4711, self.now).start_time, new[4711].start_time)

    def test_a_boot_time_that_one_process_was_read_by_is_still_news_to_the_next_scan(self) -> None:
        """`where` or `signal` between two scans makes no process keep its old start time."""
        old = self.settled()
        self.change("btime 1795342775", "btime 1795349975", "stat")
        self.assertEqual(self.scanner.read(1, self.now).start_time, _later(old[1], 7200))
        self.assertEqual(self.scan()[4711].start_time, _later(old[4711], 7200))

    def test_a_boot_time_that_cannot_be_read_now_is_the_last_one(self) -> None:
        """Half a /proc/stat costs no scan after the first."""
        old = self.settled()
        self.change("btime 1795342775", "xtime", "stat")
        (self.tree / "uptime").write_text("half")
        self.assertEqual(self.scan()[4711].start_time, old[4711].start_time)

    def test_a_user_who_is_renamed_is_so_in_a_minute(self) -> None:
        """Also where nothing else of the process changes; who has no name is asked for again sooner."""
        names: dict[int, str | None] = {os.geteuid(): "ada"}
        self.scanner = ProcessScanner(
            ProcRoot(str(self.tree)), 7, ProcessLocks().locked, UserNames(lambda uid: names.get(uid))
        )
        self.assertEqual(self.settled()[4711].user, "ada")
        names[os.geteuid()] = "countess"
        self.assertEqual(self.scan(5.0)[4711].user, "ada")
        self.assertEqual(self.scan(KNOWN_LIFETIME)[4711].user, "countess")
        names.clear()
        self.assertEqual(self.scan(KNOWN_LIFETIME)[4711].user, str(os.geteuid()))
        names[os.geteuid()] = "ada"
        self.assertEqual(self.scan(UNKNOWN_LIFETIME)[4711].user, "ada")

    def test_what_has_no_command_line_is_shown_by_its_name(self) -> None:
        """Kernel threads and zombies stand in brackets."""
        found = self.scan()
        self.assertEqual((found[2].command, found[4712].command), ("[kthreadd]", "[gone]"))
        self.assertEqual(found[1].command, "/sbin/init splash")

    def test_cpu_share_is_over_the_time_since_the_last_scan(self) -> None:
        """Half a second of processor time in five seconds are 10 %; then nothing is 0 %."""
        self.assertIsNone(self.scan()[4711].cpu_percent)
        self.change("250 50", "280 70")
        self.assertEqual(self.scan()[4711].cpu_percent, 10.0)
        self.assertEqual(self.scan()[4711].cpu_percent, 0.0)
        self.change("280 70", "281 70")
        self.assertEqual(self.scan(1.0)[4711].cpu_percent, 1.0)

    def test_a_process_at_rest_is_not_made_anew(self) -> None:
        """The value of a process that does nothing is the very one of the scan before."""
        for _ in range(3):
            before = self.scan()
        after = self.scan()
        for pid in (1, 2, 4711):
            self.assertIs(after[pid], before[pid])

    def test_reading_and_writing_a_second(self) -> None:
        """Bytes from and to storage over the time between two readings, unknown at the first."""
        self.assertIsNone(self.scan()[4711].read_rate)
        self.change(
            "read_bytes: 1000000\nwrite_bytes: 500000", "read_bytes: 1500000\nwrite_bytes: 500000", "4711/io"
        )
        found = self.scan()[4711]
        self.assertEqual((found.read_rate, found.write_rate), (100000.0, 0.0))
        found = self.scan()[4711]
        self.assertEqual((found.read_rate, found.write_rate), (0.0, 0.0))

    def test_a_rate_does_not_stay_when_the_process_rests(self) -> None:
        """A process that stopped reading is shown as not reading at the very next scan."""
        self.scan()
        self.change("250 50", "251 50")
        self.change("read_bytes: 1000000", "read_bytes: 1500000", "4711/io")
        self.assertEqual(self.scan()[4711].read_rate, 100000.0)
        self.assertEqual(self.scan()[4711].read_rate, 0.0)

    def test_quiet_reading_is_seen_in_turn(self) -> None:
        """Reading that uses no processor time shows after a minute at most, over its real time."""
        for _ in range(3):
            self.scan()
        self.change("read_bytes: 1000000", "read_bytes: 1600000", "4711/io")
        rates = [self.scan()[4711].read_rate for _ in range(ROTATION + 1)]
        shown = [rate for rate in rates if rate]
        self.assertEqual(len(shown), 1)
        assert shown[0] is not None
        self.assertGreaterEqual(shown[0], 600000 / (5.0 * (ROTATION + 1)))
        self.assertLessEqual(shown[0], 600000 / 5.0)

    def test_an_exec_is_seen_at_once(self) -> None:
        """Another program in the same process: the stat line shows it, the command line is read again."""
        for _ in range(3):
            self.scan()
        self.change("my (odd) S 1 name", "other")
        self.change("./simulate", "./other", "4711/cmdline")
        self.assertTrue(self.scan()[4711].command.startswith("./other"))

    def test_an_exec_of_the_same_name_is_seen_by_its_addresses(self) -> None:
        """`sh` that becomes another `sh` has its arguments elsewhere."""
        self.scan()
        self.change("140729182636771", "140729182639999")
        self.change("--steps", "--other", "4711/cmdline")
        self.assertIn("--other", self.scan()[4711].command)

    def test_a_rewritten_command_line_is_seen_in_turn(self) -> None:
        """A daemon that writes what it does into its command line is shown so after minutes at most."""
        self.scan()
        self.change("--steps", "working", "4711/cmdline")
        shown = [self.scan()[4711].command for _ in range(5 * ROTATION)]
        self.assertIn("--steps", shown[0])
        self.assertIn("working", shown[-1])

    def test_a_process_that_becomes_a_zombie_stands_in_brackets(self) -> None:
        """Its command line is gone with its memory."""
        self.scan()
        self.change(") R 1", ") Z 1")
        (self.tree / "4711" / "cmdline").write_bytes(b"")
        self.assertEqual(self.scan()[4711].command, "[my (odd) S 1 name]")

    def test_a_pid_that_is_used_again_is_another_process(self) -> None:
        """The new one has no share and no rate from the old one's counters."""
        self.scan()
        self.change("186307", "190000")
        self.change("250 50", "900 50")
        self.change("--steps", "--other", "4711/cmdline")
        found = self.scan()[4711]
        self.assertEqual((found.cpu_percent, found.read_rate, found.started), (None, None, 190000))
        self.assertIn("--other", found.command)

    def test_what_vanishes_in_mid_scan_is_left_out(self) -> None:
        """A directory without a stat, an empty or half-written one, one of another process."""
        for pid, text in (
            (10, None),
            (11, b""),
            (12, b"12 (x) S 1 1"),
            (13, (self.tree / "1" / "stat").read_bytes()),
        ):
            (self.tree / str(pid)).mkdir()
            if text is not None:
                (self.tree / str(pid) / "stat").write_bytes(text)
        self.assertEqual(list(self.scan()), [1, 2, 4711, 4712])
        shutil.rmtree(self.tree / "4711")
        self.assertEqual(list(self.scan()), [1, 2, 4712])

    def test_a_process_without_readable_details_is_shown_by_its_name(self) -> None:
        """A command line that leads out of the tree is not followed, an io that is missing is unknown."""
        (self.tree / "4711" / "cmdline").unlink()
        (self.tree / "4711" / "cmdline").symlink_to("/etc/passwd")
        (self.tree / "4711" / "io").unlink()
        self.scan()
        found = self.scan()[4711]
        self.assertEqual((found.command, found.read_rate), ("[my (odd) S 1 name]", None))

    def test_a_clock_that_was_set_back_gives_no_share(self) -> None:
        """No share is better than a negative or an endless one."""
        self.scan()
        self.change("250 50", "280 70")
        self.assertIsNone(self.scan(-100.0)[4711].cpu_percent)
        self.change("280 70", "280 80")
        self.assertEqual(self.scan(5.0)[4711].cpu_percent, 2.0)

    def test_a_lost_tree_keeps_what_was_known(self) -> None:
        """When /proc is back, shares are over the whole time it was away."""
        self.scan()
        away = self.tree.with_name("away")
        self.tree.rename(away)
        self.assertRaises(SourceUnavailable, self.scan)
        away.rename(self.tree)
        self.change("250 50", "280 70")
        self.assertEqual(self.scan()[4711].cpu_percent, 5.0)

    def test_a_change_that_a_failed_scan_saw_is_news_to_the_next(self) -> None:
        """The boot time changes while no descriptor is left: the next scan shows the new start times."""
        short = False

        def open_file(path: bytes, flags: int) -> int:
            if short:
                raise OSError(errno.EMFILE, "Too many open files")
            return os.open(path, flags)

        self.scanner = ProcessScanner(ProcRoot(str(self.tree)), 7, ProcessLocks().locked, open_file=open_file)
        old = self.settled()
        self.change("btime 1795342775", "btime 1795349975", "stat")
        short = True
        self.assertRaises(SourceUnavailable, self.scan)
        short = False
        self.assertEqual(self.scan()[4711].start_time, _later(old[4711], 7200))

    def test_an_owner_that_changes_is_seen_in_turn(self) -> None:
        """A process at rest whose user is another one shows so after a minute at most, as does its `io`."""
        if os.geteuid() != 0:
            raise SkipTest("only root may give files away")
        self.settled()
        os.chown(self.tree / "4711", 61234, -1)
        shown = [self.scan()[4711].uid for _ in range(ROTATION)]
        self.assertEqual(shown[-1], 61234)

    def test_one_thread_scans_for_as_long_as_there_is_a_scanner(self) -> None:
        """It waits between scans, and it ends with its scanner."""
        others = set(threading.enumerate())
        self.settled()
        [thread] = [each for each in set(threading.enumerate()) - others if each.name == "scan"]
        self.settled()
        self.assertTrue(thread.is_alive())
        del self.scanner
        thread.join(20.0)
        self.assertFalse(thread.is_alive())

    def test_one_process_is_read_afresh(self) -> None:
        """`ps PID` has the numbers of this moment and the share of the last scan."""
        self.scan()
        self.change("250 50", "280 70")
        self.scan()
        self.change("280 70", "480 70")
        found = self.scanner.read(4711, self.now + 1)
        self.assertEqual((found.cpu_seconds, found.cpu_percent), (5.5, 10.0))
        self.assertRaises(NotFound, self.scanner.read, 99, self.now)

    def test_one_process_can_be_read_before_and_during_a_scan(self) -> None:
        """Questions do not wait for the scan, and are right next to it."""
        self.assertEqual(self.scanner.read(4711, NOW).pid, 4711)
        stop = threading.Event()
        failures: list[BaseException] = []

        def scan_all_the_time() -> None:
            now = NOW
            try:
                while not stop.is_set():
                    now += 1.0
                    self.scanner.scan(now)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=scan_all_the_time)
        thread.start()
        try:
            seen = {self.scanner.read(pid, NOW).pid for _ in range(100) for pid in (1, 2, 4711)}
        finally:
            stop.set()
            thread.join()
        self.assertEqual((seen, failures), ({1, 2, 4711}, []))


class ResidentTests(SynchronousTestCase):
    """Memory is what statm says: the stat line is up to 13 % behind since Linux 6.2."""

    def setUp(self) -> None:
        self.tree = copied(self)
        self.scanner = ProcessScanner(ProcRoot(str(self.tree)), 7, ProcessLocks().locked)
        self.page = os.sysconf("SC_PAGE_SIZE")
        self.statm = self.tree / "4711" / "statm"

    def rss(self, now: float) -> int | None:
        return {process.pid: process.rss for process in self.scanner.scan(now)}[4711]

    def test_it_is_exact_in_a_scan_and_for_one_process(self) -> None:
        """`ps` and `ps PID` have one number."""
        self.statm.write_text("730 450 300 10 0 200 0\n")
        self.assertEqual(self.rss(NOW), 450 * self.page)
        self.assertEqual(self.scanner.read(4711, NOW).rss, 450 * self.page)

    def test_memory_taken_from_a_process_at_rest_shows_in_turn(self) -> None:
        """Its stat line may not change, being inexact; within minutes it is read all the same."""
        self.statm.write_text("730 450 300 10 0 200 0\n")
        for second in range(3):
            self.rss(NOW + second)
        self.statm.write_text("730 20 300 10 0 200 0\n")
        later = [self.rss(NOW + 5 * turn) for turn in range(1, 5 * ROTATION + 2)]
        self.assertEqual(later[-1], 20 * self.page)

    def test_without_it_the_stat_line_does(self) -> None:
        """Of a captured tree, a statm that leads elsewhere, or one that is not whole."""
        self.assertEqual(self.rss(NOW), 389 * self.page)
        self.statm.write_text("730")
        self.assertEqual(self.scanner.read(4711, NOW).rss, 389 * self.page)
        self.statm.unlink()
        self.statm.symlink_to("/proc/self/statm")
        self.assertEqual(self.scanner.read(4711, NOW).rss, 389 * self.page)


class ThreadTests(SynchronousTestCase):
    def test_a_thread_is_no_process(self) -> None:
        """The kernel has a directory for it that no list shows; the sentence says whose thread it is."""
        tree = copied(self)
        shutil.copytree(tree / "4711", tree / "4720")
        stat = (tree / "4720" / "stat").read_text()
        (tree / "4720" / "stat").write_text(stat.replace("4711 (", "4720 (", 1))
        scanner = ProcessScanner(ProcRoot(str(tree)), 7, ProcessLocks().locked)
        with self.assertRaises(NotFound) as caught:
            scanner.read(4720, NOW)
        self.assertEqual(
            str(caught.exception), "4720 is a thread of process 4711, no process itself: say 4711 instead"
        )
