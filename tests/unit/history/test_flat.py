"""The flat log: what stays when disks fill up, directories go and daemons are killed."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gomd.history.columns import HEADER
from gomd.history.flat import FILE_NAME, RETRY_DELAY, FlatLog
from gomd.interfaces import ISampleLog
from libgomd.model import Sample
from tests.unit.history.contract import NODE, SAMPLE, TABLE, SampleLogContract


class Disk:
    """Takes ``room`` bytes, then is full, as a real one: the last write is cut short."""

    def __init__(self) -> None:
        self.room = 1 << 40

    def write(self, descriptor: int, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = os.write(descriptor, data[: self.room])
        self.room -= written
        return written


@implementer(ILogObserver)
class Listener:
    """Notes what the sample log says in the daemon's log."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_namespace", "").startswith("gomd.history"):
            self.said.append(formatEvent(event))


def at(time: float) -> Sample:
    """Return a sample of another moment."""
    return replace(SAMPLE, taken_at=time)


class FlatLogTests(SampleLogContract, SynchronousTestCase):
    """`kind = flat`."""

    def setUp(self) -> None:
        self.now = 7.0
        self.parent = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.parent)
        self.directory = self.parent / "state" / "samples"
        self.path = self.directory / FILE_NAME
        self.disk = Disk()
        listener = Listener()
        self.said = listener.said
        globalLogPublisher.addObserver(listener)
        self.addCleanup(globalLogPublisher.removeObserver, listener)

    def make_log(self, rotate_bytes: int = 1 << 20, keep: int = 3) -> FlatLog:
        log = FlatLog(str(self.directory), rotate_bytes, keep, self.disk.write, lambda: self.now)
        self.addCleanup(log.close)
        return log

    def counted(self, log: ISampleLog) -> tuple[int | float | str, ...]:
        """Return written, lost, rotated."""
        return tuple(counter.value for counter in log.counters())

    def lines(self, path: Path | None = None) -> list[str]:
        """Return what is below the header, which must be there."""
        text = (path or self.path).read_text("utf-8")
        self.assertTrue(text.startswith(HEADER), text[:100])
        self.assertTrue(text.endswith("\n"))
        return text[len(HEADER) :].splitlines()

    def test_one_line_a_sample_below_the_header(self) -> None:
        """Samples, snapshots and marks stand in the order they were written."""
        log = self.make_log()
        log.write(NODE, SAMPLE)
        log.write_processes(NODE, TABLE, False, frozenset())
        log.checkpoint("here", 2.0)
        self.assertEqual([line[0] for line in self.lines()], ["S", "P", "P", "C"])
        self.assertEqual(self.counted(log), (3, 0, 0))
        self.assertEqual(self.said, [])

    def test_nobody_else_can_read_it(self) -> None:
        """Directories on the way are 0700, files 0600, whatever the umask."""
        self.addCleanup(os.umask, os.umask(0))
        self.make_log().write(NODE, SAMPLE)
        for path, mode in ((self.directory, 0o700), (self.directory.parent, 0o700), (self.path, 0o600)):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), mode)

    def test_a_directory_of_ours_is_made_private_again(self) -> None:
        """A directory that somebody opened to others, with our files in it, is closed."""
        log = self.make_log()
        log.write(NODE, SAMPLE)
        self.directory.chmod(0o777)
        self.path.chmod(0o644)
        log.close()
        self.make_log().write(NODE, SAMPLE)
        self.assertEqual(stat.S_IMODE(self.directory.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_a_restart_goes_on_in_the_same_file(self) -> None:
        """The header stands there once."""
        for _ in range(2):
            log = self.make_log()
            log.write(NODE, SAMPLE)
            log.close()
        self.assertEqual(len(self.lines()), 2)

    def test_a_shared_directory_is_refused(self) -> None:
        """path = /tmp: others could put files under our names, so nothing is written there."""
        self.directory.mkdir(parents=True)
        (self.directory / "of-somebody").touch()
        self.directory.chmod(0o1777)
        log = self.make_log()
        log.write(NODE, SAMPLE)
        self.assertEqual(self.counted(log), (0, 1, 0))
        self.assertEqual(stat.S_IMODE(self.directory.stat().st_mode), 0o1777)
        self.assertIn("others may write to it: give gomd a directory of its own", self.said[0])

    def test_a_directory_with_other_things_in_it_keeps_its_mode(self) -> None:
        """path = /var/log works, and /var/log stays readable."""
        self.directory.mkdir(parents=True)
        (self.directory / "syslog").touch()
        self.directory.chmod(0o755)
        log = self.make_log()
        log.write(NODE, SAMPLE)
        self.assertEqual(self.counted(log), (1, 0, 0))
        self.assertEqual(stat.S_IMODE(self.directory.stat().st_mode), 0o755)

    def test_links_are_not_followed(self) -> None:
        """A symbolic link in the place of directory or file costs samples, and its target is not touched."""
        target = self.parent / "target"
        target.mkdir()
        self.directory.parent.mkdir()
        self.directory.symlink_to(target)
        log = self.make_log()
        log.write(NODE, SAMPLE)
        self.assertIn("it is a symbolic link: name the directory itself", self.said[0])
        self.assertEqual(list(target.iterdir()), [])
        self.directory.unlink()
        self.directory.mkdir()
        self.path.symlink_to(target / "file")
        self.now += RETRY_DELAY
        log.write(NODE, at(SAMPLE.taken_at + RETRY_DELAY))
        self.assertEqual(self.counted(log), (0, 2, 0))
        self.assertEqual(list(target.iterdir()), [])

    def test_a_pipe_in_the_place_of_the_file_does_not_stop_the_daemon(self) -> None:
        """What is no file is not opened as one."""
        self.directory.mkdir(parents=True)
        os.mkfifo(self.path)
        log = self.make_log()
        log.write(NODE, SAMPLE)
        self.assertEqual(self.counted(log), (0, 1, 0))
        self.assertIn("is not a file of our own", self.said[0])

    def test_it_is_moved_aside_by_size_and_the_oldest_goes(self) -> None:
        """No file passes its size, every line is in one of them, whole, and no more are kept than said."""
        log = self.make_log(rotate_bytes=len(HEADER) + 1000, keep=2)
        for second in range(30):
            log.write(NODE, at(float(second)))
        files = sorted(path.name for path in self.directory.iterdir())
        self.assertEqual(files, [FILE_NAME, f"{FILE_NAME}.1", f"{FILE_NAME}.2"])
        times = [
            float(line.split()[1])
            for name in (f"{FILE_NAME}.2", f"{FILE_NAME}.1", FILE_NAME)
            for line in self.lines(self.directory / name)
        ]
        self.assertEqual(times, [float(second) for second in range(30 - len(times), 30)])
        self.assertGreater(len(times), 10)
        for name in files:
            self.assertLessEqual((self.directory / name).stat().st_size, len(HEADER) + 1000)
        written, lost, rotated = self.counted(log)
        self.assertEqual((written, lost), (30, 0))
        self.assertEqual(rotated, 4)

    def test_keep_can_be_made_smaller_while_it_runs(self) -> None:
        """After SIGHUP with a smaller keep the surplus goes at the next rotation; 0 keeps no old file."""
        log = self.make_log(rotate_bytes=1, keep=5)
        for second in range(8):
            log.write(NODE, at(float(second)))
        self.assertEqual(len(list(self.directory.iterdir())), 6)
        log.set_limits(rotate_bytes=1, keep=1, max_bytes=1 << 24)
        log.write(NODE, at(9.0))
        self.assertEqual(sorted(p.name for p in self.directory.iterdir()), [FILE_NAME, f"{FILE_NAME}.1"])
        log.set_limits(rotate_bytes=1, keep=0, max_bytes=1 << 24)
        log.write(NODE, at(10.0))
        self.assertEqual([p.name for p in self.directory.iterdir()], [FILE_NAME])

    def test_a_file_with_other_columns_is_moved_aside(self) -> None:
        """After an upgrade that adds a column every file still has one header that is true."""
        self.directory.mkdir(parents=True)
        self.path.write_text("#S other columns\nS 1\n")
        log = self.make_log()
        log.write(NODE, SAMPLE)
        self.assertEqual(len(self.lines()), 1)
        self.assertEqual((self.directory / f"{FILE_NAME}.1").read_text(), "#S other columns\nS 1\n")

    def test_a_line_torn_by_kill_9_stays_alone(self) -> None:
        """The daemon that comes after ends it before it writes anything."""
        self.directory.mkdir(parents=True)
        self.path.write_text(HEADER + "S 1.0 7 alp")
        self.make_log().write(NODE, SAMPLE)
        first, second = self.lines()
        self.assertEqual(first, "S 1.0 7 alp")
        self.assertTrue(second.startswith("S 1700000000.250 7 alpha "))

    def test_a_full_disk_costs_samples_and_nothing_else(self) -> None:
        """Counted, said once and once when it is over; the half line it cut is taken back; never raised."""
        log = self.make_log()
        log.write(NODE, at(100.0))
        self.disk.room = 40
        for second in range(101, 104):
            log.write(NODE, at(float(second)))
        log.write_processes(NODE, replace(TABLE, taken_at=103.0), False, frozenset())
        self.assertEqual(self.counted(log), (1, 4, 0))
        [said] = self.said
        self.assertEqual(
            said,
            f"samples are not kept in {self.directory}: No space left on device; trying again every 5 s",
        )
        self.assertEqual(len(self.lines()), 1)
        self.disk.room = 1 << 40
        self.now += RETRY_DELAY - 1.0
        log.write(NODE, at(105.0))
        self.assertEqual(self.counted(log), (1, 5, 0), "tried again too soon")
        self.now += 1.0
        log.write(NODE, at(106.0))
        log.write(NODE, at(107.0))
        self.assertEqual(self.counted(log), (3, 5, 0))
        self.assertEqual(self.said[1:], [f"samples are kept in {self.directory} again; 5 were lost"])
        self.assertEqual([line.split()[1] for line in self.lines()], ["100.000", "106.000", "107.000"])

    def test_stats_say_why(self) -> None:
        """While it cannot write, the counter of what is lost says the reason."""
        log = self.make_log()
        self.disk.room = 0
        log.write(NODE, SAMPLE)
        [meaning] = [counter.meaning for counter in log.counters() if counter.name == "log_lost"]
        self.assertEqual(meaning, f"{self.directory}: No space left on device")

    def test_a_wall_clock_that_is_set_does_not_change_when_it_tries_again(self) -> None:
        """
        The times of the samples go back and on; the next try comes `RETRY_DELAY` seconds after the last one.
        """
        log = self.make_log()
        self.disk.room = 0
        log.write(NODE, at(1000.0))
        self.disk.room = 1 << 40
        log.write(NODE, at(10.0))
        log.write(NODE, at(1e9))
        self.assertEqual(self.counted(log), (0, 3, 0), "tried again too soon")
        self.now += RETRY_DELAY
        log.write(NODE, at(10.0))
        self.assertEqual(self.counted(log), (1, 3, 0))

    def test_a_header_cut_by_a_full_disk_is_begun_again(self) -> None:
        """The first write of all is not different."""
        log = self.make_log()
        self.disk.room = 20
        log.write(NODE, at(1.0))
        self.disk.room = 1 << 40
        self.now += RETRY_DELAY
        log.write(NODE, at(10.0))
        self.assertEqual(len(self.lines()), 1)
        self.assertEqual([p.name for p in self.directory.iterdir()], [FILE_NAME])

    def test_a_removed_directory_is_made_again(self) -> None:
        """rm -r of the samples costs what was in them, no more."""
        log = self.make_log()
        log.write(NODE, SAMPLE)
        shutil.rmtree(self.directory.parent)
        log.write(NODE, SAMPLE)
        self.assertEqual(len(self.lines()), 1)
        self.assertEqual(self.counted(log), (2, 0, 0))

    def test_a_directory_that_cannot_be_made_costs_samples(self) -> None:
        """A file in its place: counted, and once that is gone, kept."""
        log = self.make_log()
        log.write(NODE, at(1.0))
        shutil.rmtree(self.directory)
        self.directory.touch()
        log.write(NODE, at(2.0))
        self.assertEqual(self.counted(log), (1, 1, 0))
        self.assertEqual(len(self.said), 1)
        self.directory.unlink()
        self.now += RETRY_DELAY
        log.write(NODE, at(2.0 + RETRY_DELAY))
        self.assertEqual(self.counted(log), (2, 1, 0))

    def test_a_file_that_is_moved_or_emptied_is_begun_anew(self) -> None:
        """logrotate may do what it likes: no sample goes to a file that nobody sees."""
        log = self.make_log()
        log.write(NODE, SAMPLE)
        self.path.rename(self.directory / "moved")
        log.write(NODE, SAMPLE)
        self.assertEqual(len(self.lines()), 1)
        os.truncate(self.path, 0)
        log.write(NODE, SAMPLE)
        log.write(NODE, SAMPLE)
        self.assertEqual(len(self.lines()), 2)

    def test_two_daemons_do_not_mix_their_samples(self) -> None:
        """The second daemon with the same directory says so and keeps nothing, until the first is gone."""
        first, second = self.make_log(), self.make_log()
        first.write(NODE, SAMPLE)
        second.write(NODE, SAMPLE)
        self.assertEqual((self.counted(first), self.counted(second)), ((1, 0, 0), (0, 1, 0)))
        self.assertIn("another daemon writes samples.log in it", self.said[0])
        first.close()
        self.now += RETRY_DELAY
        second.write(NODE, at(SAMPLE.taken_at + RETRY_DELAY))
        self.assertEqual(len(self.lines()), 2)

    def test_a_limit_of_the_kernel_leaves_whole_lines(self) -> None:
        """A real file system that takes no more (here RLIMIT_FSIZE): every line that is there is whole."""
        script = (
            "import resource, sys\n"
            "from gomd.history.flat import FlatLog\n"
            "from tests.unit.history.test_flat import NODE, at\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))\n"
            "seconds = iter(range(0, 1 << 20, 10))\n"
            "log = FlatLog(sys.argv[1], 1 << 20, 3, monotonic=lambda: next(seconds))\n"
            "for second in range(0, 400, 10): log.write(NODE, at(float(second)))\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
            "log.write(NODE, at(500.0))\n"
            "print(*(counter.value for counter in log.counters()))\n"
        )
        self.assertEqual(resource.getrlimit(resource.RLIMIT_FSIZE)[1], resource.RLIM_INFINITY)
        done = subprocess.run(
            [sys.executable, "-c", script, str(self.directory)], capture_output=True, text=True, timeout=30
        )
        self.assertEqual(done.stderr, "")
        written, lost, rotated = map(int, done.stdout.split())
        lines = self.lines()
        self.assertEqual((len(lines), written + lost, rotated), (written, 41, 0))
        self.assertGreater(lost, 10)
        self.assertEqual({len(line.split()) for line in lines}, {len(lines[0].split())})
        self.assertEqual(lines[-1].split()[1], "500.000")
