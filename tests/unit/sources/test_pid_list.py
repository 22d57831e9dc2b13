"""Listing processes: only when there may be new ones, and never too late for one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gomd.sources.files import ProcRoot
from gomd.sources.linux.kept_files import KeptFiles
from gomd.sources.linux.kernelstat import read_boot
from gomd.sources.linux.pids import PidList
from gomd.sources.linux.process_visitor import ROTATION
from gomd.sources.linux.scan import ProcessScanner
from libgomd.errors import SourceUnavailable
from libgomd.wallclock import wall_clock
from tests.unit.sources.linux_proc import copied
from tests.unit.sources.source_under_test import NOW


class PidListTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tree = copied(self)
        self.pids = PidList(ProcRoot(str(self.tree)), forks_tell=True)

    def read(self, forks: int | None) -> list[int]:
        return list(self.pids.read(forks)[0])

    def test_while_nothing_was_started_the_processes_are_those_of_the_last_listing(self) -> None:
        self.assertEqual(self.read(70), [1, 2, 4711, 4712])
        (self.tree / "4800").mkdir()
        self.assertEqual(self.read(70), [1, 2, 4711, 4712])
        self.assertEqual(self.read(71), [1, 2, 4711, 4712, 4800])

    def test_a_listing_is_used_for_a_minute_at_most(self) -> None:
        """In case that a kernel counts otherwise than it should."""
        self.read(70)
        (self.tree / "4800").mkdir()
        found = [4800 in self.read(70) for _ in range(ROTATION)]
        self.assertEqual(found, [False] * (ROTATION - 1) + [True])

    def test_what_could_not_be_read_is_listed_again(self) -> None:
        self.read(70)
        (self.tree / "4800").mkdir()
        self.pids.forget()
        self.assertIn(4800, self.read(70))

    def test_a_count_that_cannot_be_one_is_not_believed(self) -> None:
        """None, and the 0 of sandboxes that imitate /proc: there cannot be fewer forks than processes."""
        for forks in (None, 0, 3):
            self.read(forks)
            (self.tree / "4800").mkdir()
            self.assertIn(4800, self.read(forks))
            (self.tree / "4800").rmdir()

    def test_a_stat_of_another_file_system_is_not_believed(self) -> None:
        """As lxcfs mounts one over the kernel's."""
        (self.tree / "stat").unlink()
        (self.tree / "stat").symlink_to("/proc/stat")
        self.read(70)
        (self.tree / "4800").mkdir()
        self.assertIn(4800, self.read(70))

    def test_a_tree_whose_forks_tell_nothing_is_listed_each_time(self) -> None:
        self.pids = PidList(ProcRoot(str(self.tree)), forks_tell=False)
        self.read(70)
        (self.tree / "4800").mkdir()
        self.assertIn(4800, self.read(70))

    def test_another_tree_in_its_place_is_listed(self) -> None:
        self.read(70)
        self.tree.rename(self.tree.with_name("away"))
        self.assertRaises(SourceUnavailable, self.pids.read, 70)
        (self.tree / "12").mkdir(parents=True)
        self.assertEqual(self.read(70), [12])


class CountTests(SynchronousTestCase):
    def test_it_is_the_kernels_own(self) -> None:
        """Each start of a program raises it; what has no such line has no count."""
        root = ProcRoot("/proc")
        before = read_boot(root).forks
        subprocess.run([sys.executable, "-c", ""], check=True, timeout=60)
        after = read_boot(root).forks
        assert before is not None
        assert after is not None
        self.assertGreater(after, before)

    def test_a_stat_without_it_has_none(self) -> None:
        for text in ("btime 1795342775\n", "cpu 1\nprocesses many\nbtime 1795342775\n"):
            tree = Path(self.mktemp())
            tree.mkdir()
            (tree / "stat").write_text(text)
            self.assertEqual(read_boot(ProcRoot(str(tree)), wall_clock), (1795342775, None))


class KernelTests(SynchronousTestCase):
    def test_a_process_is_shown_by_the_first_scan_after_its_start_and_until_its_end(self) -> None:
        """Between scans that list nothing too."""
        scanner = ProcessScanner(ProcRoot("/proc"), 7, frozenset, kept=KeptFiles(50), forks_tell=True)
        for seconds in range(3):
            scanner.scan(NOW + seconds)
        for seconds in range(3, 9, 2):
            with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
                self.assertIn(process.pid, {each.pid for each in scanner.scan(NOW + seconds)})
                process.kill()
            self.assertNotIn(process.pid, {each.pid for each in scanner.scan(NOW + seconds + 1)})
