"""The stock kernel as a node, from a tree that a test changes as a kernel would."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gomd.interfaces import INodeSource
from gomd.sources.linux.source import LinuxSource
from libgomd.errors import NotFound, NotPossible, SourceUnavailable
from libgomd.model import Cpu, Disk, Load, Memory, Paging, Part, Pressure, Status
from libgomd.wire.tree import TreePath
from tests.unit.sources import captured, contract
from tests.unit.sources.linux_proc import ADMIN, READER, copied, directory, source_over
from tests.unit.sources.source_under_test import NOW


class LinuxSourceContractTests(contract.NodeSourceContract, SynchronousTestCase):
    kind = "linux"
    own_id, known_pid = 1, 4711
    directories = ("/proc/net", "/proc/pressure")

    def make_source(self) -> INodeSource:
        return source_over(self, copied(self))

    def make_lost_source(self) -> INodeSource:
        return source_over(self, directory(self) / "nothing")


class OldKernelContractTests(contract.NodeSourceContract, SynchronousTestCase):
    """The same promises over a tree of Linux 2.4."""

    kind = "linux"
    own_id, known_pid = 1, 36

    def make_source(self) -> INodeSource:
        return source_over(self, captured.copied(self, "node1"))

    def make_lost_source(self) -> INodeSource:
        return source_over(self, directory(self))


class RealKernelTests(SynchronousTestCase):
    def test_this_machine(self) -> None:
        """On the machine the tests run on, this very process is found with what it knows of itself."""
        source = source_over(self, Path("/proc"))
        for part in source.parts:
            source.sample(part, NOW)
        own = source.process(os.getpid(), NOW)
        self.assertEqual((own.ppid, own.uid, own.cantmove), (os.getppid(), os.geteuid(), "foreign"))
        self.assertIn(own.pid, [process.pid for process in source.processes(NOW).processes])
        assert own.rss is not None
        self.assertGreater(own.rss, 1_000_000)
        cpu = source.sample(Part.CPU, NOW)
        assert isinstance(cpu, Cpu)
        self.assertEqual(cpu.cpus, os.sysconf("SC_NPROCESSORS_ONLN"))


class SampleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = copied(self)
        self.source = source_over(self, self.root)

    def load(self, now: float) -> int:
        value = self.source.sample(Part.LOAD, now)
        assert isinstance(value, Load)
        assert value.load is not None
        return value.load

    def running(self, tasks: int) -> None:
        stat = (self.root / "stat").read_text().splitlines()
        stat[-3] = f"procs_running {tasks}"
        (self.root / "stat").write_text("\n".join(stat) + "\n")

    def test_load_is_runnable_tasks_but_the_reader_per_standard_processor(self) -> None:
        """Three tasks on two standard processors are a load of 150."""
        self.assertEqual(
            self.source.sample(Part.LOAD, NOW), Load(150, 3, (0.67, 0.16, 0.05))
        )  # fmt: skip

    def test_load_rises_slowly_and_falls_at_once(self) -> None:
        """(5 * old + 3 * new) / 8 a second upwards, so that a moment's burst moves no process."""
        self.running(1)
        self.assertEqual(self.load(NOW), 0)
        self.running(9)
        self.assertEqual([self.load(NOW + second) for second in (1, 2, 3)], [150, 244, 302])
        self.assertEqual(self.load(NOW + 4.0 + 100.0), 400)
        self.running(2)
        self.assertEqual(self.load(NOW + 105.0), 50)

    def test_load_counts_speed_and_yardstick(self) -> None:
        """A processor twice as fast has half the load; a yardstick twice as fast doubles it."""
        put(self.source, "/proc/hpc/admin/speed", "30000")
        self.assertEqual(self.load(NOW), 75)
        other = source_over(self, self.root)
        put(other, "/proc/hpc/admin/sspeed", "30000")
        value = other.sample(Part.LOAD, NOW)
        assert isinstance(value, Load)
        self.assertEqual(value.load, 300)

    def test_util_is_less_by_what_a_hypervisor_stole(self) -> None:
        """Of two processors with a quarter of the time stolen, 150 can be used."""
        first = self.source.sample(Part.CPU, NOW)
        self.assertEqual(first, Cpu(2, 15000, 200))
        stat = (self.root / "stat").read_text()
        old = "cpu  12998 20 2580 346401 503 0 137 339 0 0"
        new = "cpu  13018 20 2590 346441 508 0 137 364 0 0"  # user+20 system+10 idle+40 iowait+5 steal+25
        assert old in stat
        (self.root / "stat").write_text(stat.replace(old, new))
        self.assertEqual(self.source.sample(Part.CPU, NOW + 1), Cpu(2, 15000, 150, 55.0, 5.0))

    def test_two_reads_at_the_same_tick_keep_the_last_shares(self) -> None:
        """`node` asked twice at once is no division by nothing."""
        self.source.sample(Part.CPU, NOW)
        self.assertEqual(self.source.sample(Part.CPU, NOW + 0.001), Cpu(2, 15000, 200))

    def test_a_half_written_file_costs_its_part_only(self) -> None:
        """A cut /proc/stat makes the load unavailable, memory is still told."""
        (self.root / "stat").write_text("cpu  12998 20")
        with self.assertRaises(SourceUnavailable) as caught:
            self.source.sample(Part.LOAD, NOW)
        self.assertIn("/proc/stat", str(caught.exception))
        self.assertIsInstance(self.source.sample(Part.MEMORY, NOW), Memory)

    def test_an_old_kernel_lacks_some_numbers(self) -> None:
        """On 2.4 there is no pressure and no count of faults: unknown, not 0; swap it has."""
        old = source_over(self, captured.captured("node1"))
        self.assertEqual(old.sample(Part.PRESSURE, NOW), Pressure())
        self.assertEqual(old.sample(Part.PAGING, NOW), Paging(0, 0))
        disks = old.sample(Part.DISKS, NOW)
        self.assertEqual(disks, (Disk("3:0", 2554 * 512, 26 * 512, None),))
        self.assertEqual(old.sample(Part.LOAD, NOW), Load(200, 2, (0.67, 0.16, 0.05)))
        cpu = old.sample(Part.CPU, NOW)
        self.assertEqual(cpu, Cpu(1, 15000, 100))
        [process] = [one for one in old.processes(NOW).processes if one.pid == 36]
        self.assertIsNone(process.threads)
        self.assertIsNone(process.read_rate)
        self.assertEqual((process.rss, process.cpu_seconds), (11 * os.sysconf("SC_PAGE_SIZE"), 10.11))


class SettingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root, self.state = copied(self), directory(self) / "state"

    def start(self, speed: int | None = None) -> LinuxSource:
        return LinuxSource(1, "alpha", "10.0.0.1", str(self.root), str(self.state), speed=speed)

    def test_settings_survive_a_restart(self) -> None:
        """After `stay` and `setspeed` a new daemon still stays, at that speed."""
        first = self.start()
        put(first, "/proc/hpc/admin/stay", "1")
        put(first, "/proc/hpc/admin/speed", "20000")
        [node] = self.start().nodes(NOW)
        self.assertEqual((node.status, node.speed), (Status.CONFIGURED | Status.UP | Status.STAY, 20000))

    def test_the_speed_of_gomd_ini_holds_again_after_a_restart(self) -> None:
        """`setspeed` changes the running daemon; what gomd.ini says is where the next one starts."""
        first = self.start(speed=12000)
        self.assertEqual(first.read_file(TreePath.parse("/proc/hpc/admin/speed"), READER), b"12000\n")
        put(first, "/proc/hpc/admin/speed", "20000")
        self.assertEqual(first.speed(), 20000)
        self.assertEqual(self.start(speed=12000).speed(), 12000)
        self.assertEqual(self.start().speed(), 20000)

    def test_starting_measures_nothing_and_writes_nothing(self) -> None:
        """The daemon starts at once: the speed is measured at the first sample, on its thread."""
        source = self.start()
        self.assertFalse(self.state.exists())
        self.assertGreater(source.speed(), 1000)
        self.assertEqual([one.name for one in self.state.iterdir()], ["speed.json"])

    def test_an_unwritable_state_refuses_the_change(self) -> None:
        """`stay` is not half done: it says that it cannot be kept, and the node does not stay."""
        self.state.write_text("a file where the directory should be")
        source = self.start(speed=15000)
        with self.assertRaises(NotPossible) as caught:
            put(source, "/proc/hpc/admin/stay", "1")
        self.assertIn(str(self.state), str(caught.exception))
        self.assertEqual(source.read_file(TreePath.parse("/proc/hpc/admin/stay"), READER), b"0\n")

    def test_a_measured_speed_is_used_even_where_it_cannot_be_kept(self) -> None:
        """Without a STATE the node still has a speed."""
        self.state.write_text("a file where the directory should be")
        source = self.start()
        self.assertGreater(source.speed(), 1000)
        self.assertEqual(source.speed(), source.speed())


class TreeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = copied(self)
        self.source = source_over(self, self.root)

    def test_values_stand_in_the_tree_as_openmosix_writes_them(self) -> None:
        """`get /proc/hpc/nodes/1/mem` is a number of bytes and a line end."""
        expected = {
            "load": b"150\n",
            "cpus": b"2\n",
            "mem": b"22528000000\n",
            "util": b"200\n",
            "status": b"3\n",
        }
        for name, text in expected.items():
            self.assertEqual(self.source.read_file(TreePath.parse(f"/proc/hpc/nodes/1/{name}"), READER), text)
        self.assertRegex(
            self.source.read_file(TreePath.parse("/proc/hpc/admin/version"), READER), rb"\Agomd \d"
        )
        self.assertEqual(self.source.read_file(TreePath.parse("/proc/hpc/admin/mospe"), READER), b"1\n")

    def test_a_process_that_gomd_did_not_start_does_not_move(self) -> None:
        """`put /proc/PID/goto 2` says why not; a kernel thread is the system's."""
        with self.assertRaises(NotPossible) as caught:
            put(self.source, "/proc/4711/goto", "2")
        self.assertIn("was not started by gomd", str(caught.exception))
        reasons = [
            self.source.read_file(TreePath.parse(f"/proc/{pid}/cantmove"), READER) for pid in (1, 2, 4711)
        ]
        self.assertEqual(reasons, [b"system\n", b"system\n", b"foreign\n"])

    def test_the_id_is_not_changed_while_it_runs(self) -> None:
        """`put /proc/hpc/admin/mospe 2` says where the id is set."""
        with self.assertRaises(NotPossible) as caught:
            put(self.source, "/proc/hpc/admin/mospe", "2")
        self.assertIn("gomd.ini", str(caught.exception))

    def test_a_lock_ends_with_its_process(self) -> None:
        """A pid that is used again is not locked because its predecessor was."""
        put(self.source, "/proc/4711/lock", "1")
        self.source.processes(NOW)
        stat = self.root / "4711" / "stat"
        stat.write_text(stat.read_text().replace(" 186307 ", " 999999 "))
        self.assertFalse(self.source.process(4711, NOW).lock)
        self.assertEqual(self.source.read_file(TreePath.parse("/proc/4711/lock"), ADMIN), b"0\n")

    def test_a_lock_shows_in_the_next_scan(self) -> None:
        """Also where nothing else of the process changed, and again when it is unlocked."""
        for second, value in enumerate(("1", "0", "1")):
            for _ in range(3):
                self.source.processes(NOW + second)
            put(self.source, "/proc/4711/lock", value)
            table = self.source.processes(NOW + second + 0.5).processes
            self.assertEqual({one.pid: one.lock for one in table}[4711], value == "1")

    def test_what_is_missing_in_this_kernel_is_not_listed(self) -> None:
        """`ls` names what can be read now."""
        os.unlink(self.root / "swaps") if (self.root / "swaps").exists() else None
        names = self.source.list_directory(TreePath.parse("/proc"), READER)
        self.assertNotIn("swaps", names)
        self.assertEqual(names[:5], ["1", "2", "4711", "4712", "cpuinfo"])
        self.assertRaises(NotFound, self.source.read_file, TreePath.parse("/proc/swaps"), ADMIN)


def put(source: LinuxSource, path: str, value: str) -> None:
    source.write_file(TreePath.parse(path), value)
