"""The scripted source, and the processes it lets tests and the demo act on."""

from __future__ import annotations

import dataclasses
import signal

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gomd.interfaces import INodeSource, IProcessControl
from gomd.sources.memory import MemorySource
from gomd.sources.memory_control import MemoryProcessControl
from libgomd.errors import MalformedRequest, NotAllowed, NotFound, NotPossible, SourceUnavailable
from libgomd.model import Caller, Cpu, Load, Memory, Part, Process, Role, Sample
from libgomd.wire.tree import TreePath
from tests.unit.sources import contract
from tests.unit.sources.source_under_test import ADMIN, NOW, READER

ADA = Caller(Role.USER, "ada", 1000, "unix")


def process(pid: int, uid: int = 1000, cpu_seconds: float = 0.0, nice: int = 0) -> Process:
    return Process(
        node=1, home=1, pid=pid, ppid=1, uid=uid, user="ada" if uid else "root", state="S", nice=nice,
        threads=1, cpu_percent=None, cpu_seconds=cpu_seconds, rss=4096, vsize=8192, start_time=NOW - 60.0,
        where=0, nmigs=0, lock=False, cantmove="", command=f"job{pid}", started=100 + pid,
    )  # fmt: skip


FILES = {
    "/proc/loadavg": b"0.50 0.20 0.10 1/80 4000\n",
    "/proc/net/dev": b"Inter-|\n face |\n",
    "/proc/36/stat": b"36 (job36) S 1\n",
    "/proc/36/io": b"rchar: 1\n",
}


class MemorySourceContractTests(contract.NodeSourceContract, SynchronousTestCase):
    kind = "memory"
    own_id = 7
    known_pid = 36
    directories = ("/proc/net",)

    def make_source(self) -> INodeSource:
        table = [dataclasses.replace(process(pid), node=7, home=7) for pid in (36, 2, 410)]
        return MemorySource([50], [table], FILES, node_id=7, name="seven")

    def make_lost_source(self) -> INodeSource:
        return MemorySource([None], [None])


class DemoSourceContractTests(contract.NodeSourceContract, SynchronousTestCase):
    kind = "memory"
    own_id = 3
    known_pid = 1201
    kernel_files = ("/proc/version",)

    def make_source(self) -> INodeSource:
        return MemorySource.for_demo(3, "three")

    def make_lost_source(self) -> INodeSource:
        return MemorySource([None], [None], node_id=3)


class ScriptTests(SynchronousTestCase):
    def load(self, source: MemorySource, now: float = NOW) -> int:
        found = source.sample(Part.LOAD, now)
        assert isinstance(found, Load)
        assert found.load is not None
        return found.load

    def test_loads_are_played_and_none_is_a_failure(self) -> None:
        """The simplest script: a good read, then one that fails, and so on failing."""
        source = MemorySource([50, None])
        self.assertEqual(self.load(source), 50)
        self.assertRaises(SourceUnavailable, self.load, source)
        self.assertRaises(SourceUnavailable, self.load, source)

    def test_each_part_counts_its_own_reads(self) -> None:
        """A collector that reads all parts in a round has one entry for the round."""
        source = MemorySource([10, 20])
        for load in (10, 20, 20):
            for part in source.parts:
                value = source.sample(part, NOW)
                if part is Part.LOAD:
                    self.assertEqual(value, Load(load, round(load / 100)))

    def test_a_failure_passes(self) -> None:
        """After the entry that fails the next one is read, and `nodes` follows."""
        source = MemorySource([10, None, 30])
        self.load(source)
        self.assertEqual(source.nodes(NOW)[0].load, 10)
        self.assertRaises(SourceUnavailable, self.load, source)
        self.assertRaises(SourceUnavailable, source.nodes, NOW)
        self.assertEqual(self.load(source), 30)
        self.assertEqual(source.nodes(NOW)[0].load, 30)

    def test_a_cycle_begins_again(self) -> None:
        """`cycle` plays the script for ever."""
        source = MemorySource([1, 2], cycle=True)
        self.assertEqual([self.load(source) for _ in range(5)], [1, 2, 1, 2, 1])

    def test_an_empty_script_is_a_mistake(self) -> None:
        """A script without an entry is refused at once, not at the first read."""
        self.assertRaises(ValueError, MemorySource, [])
        self.assertRaises(ValueError, MemorySource, [1], [])

    def test_a_whole_sample_gives_each_part(self) -> None:
        """A script may hold whole samples, with one part of them missing."""
        whole = Sample(NOW, load=Load(5, 0), cpu=Cpu(2, 20000, 200), memory=None)
        source = MemorySource([whole, plain := Sample(NOW, memory=Memory(1, 2, 3))])
        self.assertEqual(source.sample(Part.CPU, NOW), whole.cpu)
        self.assertRaises(SourceUnavailable, source.sample, Part.MEMORY, NOW)
        self.assertEqual(source.sample(Part.MEMORY, NOW), plain.memory)

    def test_tables_are_played_and_the_cpu_share_worked_out(self) -> None:
        """2.5 seconds of processor in 5 seconds are 50 %; a share that the script gives is kept."""
        given = dataclasses.replace(process(3), cpu_percent=12.5)
        source = MemorySource(
            [0], [[process(2, cpu_seconds=1.0), given], [process(2, cpu_seconds=3.5), given], None]
        )
        shares = [[one.cpu_percent for one in source.processes(at).processes] for at in (NOW, NOW + 5.0)]
        self.assertEqual(shares, [[None, 12.5], [50.0, 12.5]])
        self.assertEqual(source.process(2, NOW + 6.0).cpu_percent, 50.0)
        self.assertRaises(SourceUnavailable, source.processes, NOW + 10.0)

    def test_the_kernels_rule_for_io_holds(self) -> None:
        """/proc/PID/io is for the owner of the process and for admins."""
        source = MemorySource([0], [[process(36)]], FILES)
        path = TreePath.parse("/proc/36/io")
        for caller in (ADMIN, ADA):
            self.assertEqual(source.read_file(path, caller), b"rchar: 1\n")
        for caller in (READER, Caller(Role.USER, "eve", 1001, "unix")):
            self.assertRaises(NotAllowed, source.read_file, path, caller)

    def test_a_scripted_process_does_not_move(self) -> None:
        """Sending it home, where it is, is done; sending it away is refused."""
        source = MemorySource([0], [[process(36)]])
        goto = TreePath.parse("/proc/36/goto")
        source.write_file(goto, "home")
        source.write_file(goto, "0")
        self.assertRaises(NotPossible, source.write_file, goto, "2")


class DemoTests(SynchronousTestCase):
    def test_the_same_moments_give_the_same_values(self) -> None:
        """Two demo nodes of one id started together show the same; another id shows another."""
        one, same, other = (MemorySource.for_demo(node) for node in (1, 1, 2))
        loads: list[list[object]] = [[], [], []]
        for second in range(60):
            for source, seen in zip((one, same, other), loads, strict=True):
                seen.append(source.sample(Part.LOAD, NOW + second))
        self.assertEqual(loads[0], loads[1])
        self.assertNotEqual(loads[0], loads[2])
        self.assertGreater(len(set(loads[0])), 20)

    def test_processor_time_never_runs_back_and_shares_are_plausible(self) -> None:
        """A process uses between nothing and one processor, and its used time only grows."""
        source = MemorySource.for_demo()
        last: dict[int, float] = {}
        source.processes(NOW)
        for second in range(5, 300, 5):
            for one in source.processes(NOW + second).processes:
                assert one.cpu_percent is not None
                assert one.cpu_seconds is not None
                self.assertTrue(-0.001 <= one.cpu_percent <= 100.001, one)
                self.assertGreaterEqual(one.cpu_seconds, last.get(one.pid, 0.0))
                last[one.pid] = one.cpu_seconds


class MemoryProcessControlTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.source = MemorySource([0], [[process(36), process(40, uid=0)]])
        self.control = MemoryProcessControl(self.source)

    def test_it_provides_the_interface(self) -> None:
        """The daemon finds what it calls."""
        verifyObject(IProcessControl, self.control)

    def test_a_killed_process_is_gone(self) -> None:
        """`signal PID TERM` ends it: `ps` lists it no more, another signal finds nobody."""
        self.control.signal(36, signal.SIGTERM, ADA)
        self.assertEqual([one.pid for one in self.source.processes(NOW).processes], [40])
        self.assertRaises(NotFound, self.control.signal, 36, signal.SIGTERM, ADA)
        self.assertEqual(list(self.control.acts), [("signal", 36, signal.SIGTERM)])

    def test_a_stopped_process_goes_on_when_told(self) -> None:
        """STOP shows as state T, CONT ends that; CHLD and WINCH do nothing."""
        states = []
        for number in (signal.SIGSTOP, signal.SIGCHLD, signal.SIGWINCH, signal.SIGCONT):
            self.control.signal(36, number, ADA)
            states.append(self.source.process(36, NOW).state)
        self.assertEqual(states, ["T", "T", "T", "S"])

    def test_other_peoples_processes_are_not_touched(self) -> None:
        """A user acts on their own processes, an admin on all, a reader on none."""
        for caller, pid in ((ADA, 40), (READER, 36)):
            self.assertRaises(NotAllowed, self.control.signal, pid, 9, caller)
            self.assertRaises(NotAllowed, self.control.renice, pid, 5, caller)
        self.assertEqual(list(self.control.acts), [])
        self.control.signal(40, 9, ADMIN)
        self.assertRaises(NotFound, self.source.process, 40, NOW)

    def test_only_an_admin_makes_a_process_less_nice(self) -> None:
        """A user may be nicer, never less nice than before."""
        self.control.renice(36, 10, ADA)
        self.assertEqual(self.source.process(36, NOW).nice, 10)
        self.assertRaises(NotAllowed, self.control.renice, 36, 5, ADA)
        self.control.renice(36, -5, ADMIN)
        self.assertEqual(self.source.process(36, NOW).nice, -5)

    def test_numbers_out_of_range_are_refused(self) -> None:
        """There is no signal 0 or 65 and no niceness 20."""
        for number in (-1, 0, 65, 1000):
            self.assertRaises(MalformedRequest, self.control.signal, 36, number, ADMIN)
        for nice in (-21, 20):
            self.assertRaises(MalformedRequest, self.control.renice, 36, nice, ADMIN)
