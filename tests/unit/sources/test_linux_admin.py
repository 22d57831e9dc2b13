"""What is kept in STATE: settings and the measured speed, over restarts and over damage."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from itertools import cycle

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gomd.sources.admin import AdminState, AdminStore
from gomd.sources.files import ProcRoot
from gomd.sources.linux.speed import Speed, benchmark_text, machine_identity, measure_speed
from libgomd.errors import NotPossible
from libgomd.model import MAX_SPEED, Status
from tests.unit.sources.captured import captured
from tests.unit.sources.linux_proc import DATA, copied, directory


class AdminStoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = directory(self) / "state"
        self.file = self.state / "admin.json"

    def store(self) -> AdminStore:
        return AdminStore(str(self.state))

    def test_a_new_node_has_no_settings(self) -> None:
        """Without a file all is at its default, and nothing is written."""
        self.assertEqual(self.store().state, AdminState())
        self.assertEqual(self.store().state.status, Status.CONFIGURED | Status.UP)
        self.assertFalse(self.state.exists())

    def test_all_settings_are_kept(self) -> None:
        """Each is there again in the next daemon."""
        store = self.store()
        for name, value in (
            ("stay", 1),
            ("lstay", 1),
            ("block", 1),
            ("quiet", 1),
            ("speed", 7),
            ("sspeed", 8),
        ):
            store.change(name, value)
        store.change("lstay", 0)
        expected = AdminState(stay=True, block=True, quiet=True, speed=7, sspeed=8)
        self.assertEqual((store.state, self.store().state), (expected, expected))
        self.assertEqual(int(expected.status), 1 | 2 | 4 | 16 | 32)

    def test_the_file_is_nobody_elses(self) -> None:
        """Mode 0600 in a directory 0700, and no second file beside it."""
        self.store().change("stay", 1)
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(self.state).st_mode), 0o700)
        self.assertEqual(os.listdir(self.state), ["admin.json"])

    def test_what_a_killed_daemon_left_is_no_obstacle(self) -> None:
        """A half-written new file is replaced; a link in its place is not followed."""
        self.state.mkdir()
        victim = self.state / "victim"
        victim.write_text("untouched")
        (self.state / "admin.json.new").symlink_to(victim)
        self.store().change("stay", 1)
        self.assertTrue(self.store().state.stay)
        self.assertEqual(victim.read_text(), "untouched")

    def test_a_damaged_file_is_the_defaults_and_a_warning(self) -> None:
        """Half-written, emptied, of another kind, endless: the daemon starts and says so."""
        self.store().change("stay", 1)
        whole = self.file.read_bytes()
        nested = b"[" * 60000
        for data in (b"", whole[: len(whole) // 2], b"\xff\xfe", b"[1]", b"null", nested, b" " * 100_000):
            self.file.write_bytes(data)
            with _Warnings() as warnings:
                self.assertEqual(self.store().state, AdminState(), data[:20])
            [warning] = warnings
            self.assertIn(str(self.file), warning)

    def test_one_damaged_value_costs_only_itself(self) -> None:
        """The others are kept; unknown names, of a newer version, are no matter."""
        self.state.mkdir()
        found = {
            "stay": True, "block": "yes", "quiet": 1, "speed": MAX_SPEED + 1, "sspeed": True, "later": [],
        }  # fmt: skip
        self.file.write_text(json.dumps(found))
        with _Warnings() as warnings:
            self.assertEqual(self.store().state, AdminState(stay=True))
        self.assertEqual(len(warnings), 4)

    def test_a_fifo_in_its_place_does_not_hang_the_start(self) -> None:
        """The start goes on with the defaults."""
        self.state.mkdir()
        os.mkfifo(self.file)
        with _Warnings() as warnings:
            self.assertEqual(self.store().state, AdminState())
        self.assertEqual(len(warnings), 1)

    def test_what_cannot_be_kept_is_not_set(self) -> None:
        """The error names the file; the setting reads as before."""
        self.state.mkdir()
        (self.state / "admin.json.new").mkdir()  # stands where the new file would be written
        store = self.store()
        with self.assertRaises(NotPossible) as caught:
            store.change("block", 1)
        self.assertIn(str(self.file), str(caught.exception))
        self.assertEqual(store.state, AdminState())


class SpeedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root, self.state = copied(self), directory(self) / "state"
        self.measured = 0

    def clock(self, seconds: float) -> Iterator[float]:
        """Processor time as the benchmark reads it: before and after each round."""
        self.measured += 1
        now = 0.0
        for step in cycle((0.0, seconds)):
            now += step
            yield now

    def speed(self, seconds: float) -> int:
        ticks: Iterator[float] | None = None

        def cpu_time() -> float:
            nonlocal ticks
            if ticks is None:
                ticks = self.clock(seconds)
            return next(ticks)

        return Speed(ProcRoot(str(self.root)), str(self.state), cpu_time).value()

    def test_the_scale_is_openmosixs(self) -> None:
        """18 ms make a standard machine; twice as fast is twice as much."""
        self.assertEqual(self.speed(0.018), 15000)
        (self.state / "speed.json").unlink()
        self.assertEqual(self.speed(0.009), 30000)

    def test_it_is_never_nothing_and_never_endless(self) -> None:
        """1 to a thousand times the fastest processor there is, however slow or fast."""
        ticks = iter(range(0, 10**9, 10**6))
        self.assertEqual(measure_speed(lambda: float(next(ticks))), 1)
        self.assertEqual(measure_speed(lambda: 0.0), MAX_SPEED)

    def test_a_fast_processor_is_told_from_a_faster_one(self) -> None:
        """openMosix's numbers end at 65535, which a core reaches that takes 4.1 ms."""
        self.assertEqual(self.speed(0.004), 67500)
        self.assertEqual(self.speed(0.004), 67500)
        (self.state / "speed.json").unlink()
        self.assertEqual(self.speed(0.002), 135000)

    def test_it_is_measured_once_for_a_machine(self) -> None:
        """The next start takes what was kept; other processors are measured anew."""
        self.assertEqual([self.speed(0.018), self.speed(0.009)], [15000, 15000])
        self.assertEqual(self.measured, 1)
        (self.root / "cpuinfo").write_text("model name\t: another\n")
        self.assertEqual([self.speed(0.009), self.measured], [30000, 2])

    def test_a_damaged_file_is_measured_over(self) -> None:
        """Half-written, of another version, out of range: as if there were none."""
        self.speed(0.018)
        file = self.state / "speed.json"
        whole = json.loads(file.read_text())
        changes: list[dict[str, object]] = [{"version": 0}, {"machine": None}]
        changes += [{"speed": speed} for speed in (MAX_SPEED + 1, True, "fast")]
        for damage in ('{"version": 1', *(json.dumps({**whole, **change}) for change in changes)):
            file.write_text(damage)
            before = self.measured
            self.assertEqual((self.speed(0.009), self.measured), (30000, before + 1), damage)

    def test_the_text_is_the_same_for_ever(self) -> None:
        """Speeds of different nodes and years can be compared."""
        text = benchmark_text()
        self.assertEqual((len(text), text[:24]), (65536, b"21468 9988 22117 3498 16"))

    def test_a_machine_is_known_by_its_processor_not_by_its_clock(self) -> None:
        """The momentary MHz change all the time, and are not part of the identity."""
        text = (DATA / "cpuinfo").read_text()
        self.assertEqual(machine_identity(text), machine_identity(text.replace("2499.998", "800.000")))
        self.assertNotEqual(machine_identity(text), machine_identity(text.replace("85", "86")))
        self.assertIn("Pentium III (Katmai)", machine_identity((captured("node1") / "cpuinfo").read_text()))


@implementer(ILogObserver)
class _Warnings:
    """What was logged as a warning, as text."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_level") is LogLevel.warn:
            self._found.append(formatEvent(event))

    def __enter__(self) -> list[str]:
        globalLogPublisher.addObserver(self)
        return self._found

    def __exit__(self, *exception: object) -> None:
        globalLogPublisher.removeObserver(self)
