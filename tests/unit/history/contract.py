"""What every ISampleLog and IHistory promise; each implementation's tests inherit it. And samples to log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from zope.interface.verify import verifyObject

from gomd.interfaces import IHistory, ISampleLog, RememberedTable
from libgomd.model import (
    Cpu,
    Disk,
    Event,
    EventKind,
    Interface,
    Job,
    JobState,
    Load,
    Measure,
    Memory,
    Node,
    Paging,
    Part,
    Process,
    ProcessTable,
    Sample,
    Status,
)

#: The start of an hour.
HOUR = 1_699_999_200.0

NODE = Node(
    7, "alpha", "10.0.0.7", Status.CONFIGURED | Status.UP, load=50, speed=15000, cpus=2, util=200,
    mem=1000, rmem=900, tmem=2000, age=0.5,
)  # fmt: skip

SAMPLE = Sample(
    taken_at=1700000000.25,
    load=Load(50, 3, (0.5, 0.25, 0.125)),
    cpu=Cpu(2, 15000, 200, 12.5, 0.0),
    memory=Memory(1000, 900, 2000, 500, 400),
    paging=Paging(1, 2, 3, 4),
    disks=(Disk("sda", 10, 20, 30), Disk("sdb", 1, 2)),
    network=(Interface("lo", 9, 9, 9, 9, 9, 9), Interface("eth0", 1, 2, 3, 4, 5, 6)),
    read_at=((Part.LOAD, 1700000000.25), (Part.DISKS, 1699999999.0)),
)


def process(pid: int, cpu_percent: float | None, command: str = "sleep 1", **changes: Any) -> Process:
    """Return a process of node 7."""
    values: dict[str, Any] = {
        "node": 7, "home": 7, "pid": pid, "ppid": 1, "uid": 1000, "user": "alice", "state": "S", "nice": 0,
        "threads": 1, "cpu_percent": cpu_percent, "cpu_seconds": 1.5, "rss": 4096, "vsize": 8192,
        "start_time": 1699999000.0, "where": 0, "nmigs": 0, "lock": False, "cantmove": "",
        "command": command, "started": 100,
    }  # fmt: skip
    return Process(**(values | changes))


TABLE = ProcessTable(1700000001.0, (process(10, None), process(11, 99.0, "spin -x")))


OTHER = Node(9, "beta", "10.0.0.9", Status.CONFIGURED | Status.UP, load=10, mem=500)
EVENT = Event(1700000002.0, EventKind.STARTED, 7, "alpha", "job 3 of alice: make -j", 7, uid=1000)
JOB = Job(3, 7, 7, 300, "alice", JobState.RUNNING, None, "make -j", 1000, 1700000002.0)


def write_samples(log: ISampleLog, start: float, count: int) -> None:
    """Write samples whose load counts from 0, one a second from ``start`` on."""
    for at in range(count):
        log.write(replace(NODE, load=at), replace(SAMPLE, taken_at=start + at))


class SampleLogContract:
    """Mixed into a TestCase that makes a log in ``make_log``."""

    assertEqual: Callable[..., None]

    def make_log(self) -> ISampleLog:
        """Return a log that nothing was written to yet."""
        raise NotImplementedError

    def test_it_provides_the_interface(self) -> None:
        """The daemon can use it in place of any other."""
        verifyObject(ISampleLog, self.make_log())

    def test_everything_can_be_written_to_it(self) -> None:
        """A full sample, one with nothing known, a snapshot, an empty one and a mark are all taken."""
        log = self.make_log()
        log.write(NODE, SAMPLE)
        log.write(Node(9, "gone", "10.0.0.9", Status.CONFIGURED), Sample(taken_at=1.0))
        log.write_processes(NODE, TABLE, False, frozenset())
        log.write_processes(NODE, ProcessTable(1.0, ()), True, frozenset({"7-10-100"}))
        log.write_measures([Measure("open_files", 7.0, kept=True), Measure("uptime_seconds", 1.0)], 3.0)
        log.write_measures([], 3.0)
        log.write_nodes([NODE, OTHER], 3.0)
        log.write_nodes([], 4.0)
        log.write_event(EVENT, False)
        log.write_jobs([JOB], 5.0)
        log.write_jobs([], 5.0)
        log.write_remembered(RememberedTable(9, 9, 6.0, False, TABLE.processes, frozenset()))
        log.checkpoint("before the upgrade", 2.0)
        log.set_limits(1 << 20, 3, 1 << 24)
        names = [counter.name for counter in log.counters()]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(
            [c.value for c in log.counters() if c.name == "log_lost"], [0] * ("log_lost" in names)
        )
        log.close()
        self.assertEqual([c.value for c in log.counters() if c.name.endswith("_lost") and c.value], [])

    def test_it_can_be_closed_twice_and_takes_nothing_afterwards(self) -> None:
        """A sample that is still on its way when the daemon stops does no harm."""
        log = self.make_log()
        log.write(NODE, SAMPLE)
        log.close()
        before = [counter.value for counter in log.counters()]
        log.write(NODE, SAMPLE)
        log.write_processes(NODE, TABLE, False, frozenset())
        log.write_nodes([NODE], 3.0)
        log.write_event(EVENT, False)
        log.checkpoint("late", 3.0)
        log.close()
        self.assertEqual([counter.value for counter in log.counters()], before)


class HistoryContract:
    """Mixed into a TestCase that makes a writer and a reader of the same history in ``make_history``."""

    assertEqual: Callable[..., None]
    assertIsNone: Callable[..., None]
    assertIsNotNone: Callable[..., None]

    def make_history(self) -> tuple[ISampleLog, IHistory]:
        """Return a writer and a reader of node 7. What is written is there when the writer is closed."""
        raise NotImplementedError

    def test_it_provides_both_interfaces(self) -> None:
        """Writer and reader can be used in place of any others."""
        log, history = self.make_history()
        verifyObject(ISampleLog, log)
        verifyObject(IHistory, history)

    def test_nothing_is_known_of_what_was_not_written(self) -> None:
        """A time that nothing is known about is empty, and a node too: never zeros."""
        log, history = self.make_history()
        self.assertEqual([*history.values(7, ["load"], 0.0, 100.0, 10)], [])
        self.assertEqual([*history.nodes_at(50.0)], [])
        self.assertIsNone(history.processes_at(7, 50.0))
        self.assertEqual([*history.events(0.0, 100.0)], [])
        self.assertIsNone(history.find_node("7"))
        write_samples(log, 1_000_000.0, 10)
        log.close()
        self.assertEqual([*history.values(7, ["load"], 0.0, 100.0, 10)], [])
        self.assertEqual([*history.values(8, ["load"], 999_000.0, 1_001_000.0, 10)], [])
        self.assertEqual([*history.values(7, ["load"], 1_000_005.0, 1_000_005.0, 10)], [])

    def test_values_come_with_smallest_mean_and_largest(self) -> None:
        """Each row covers the same time, and several fields stand side by side."""
        log, history = self.make_history()
        write_samples(log, 1_000_000.0, 20)
        log.close()
        rows = history.values(7, ["load", "mem"], 1_000_000.0, 1_000_020.0, 2)
        self.assertEqual(
            [(row.time, row.field, row.min, row.mean, row.max, row.node, row.by) for row in rows],
            [
                (1_000_000.0, "load", 0, 4.5, 9, 7, 7), (1_000_000.0, "mem", 1000, 1000.0, 1000, 7, 7),
                (1_000_010.0, "load", 10, 14.5, 19, 7, 7), (1_000_010.0, "mem", 1000, 1000.0, 1000, 7, 7),
            ],
        )  # fmt: skip

    def test_nothing_is_known_before_the_first_sample(self) -> None:
        """The row of an hour in the midst of which a daemon was installed says nothing of the time before."""
        log, history = self.make_history()
        write_samples(log, HOUR + 1800.0, 1500)
        log.close()
        for until in (HOUR + 1500.0, HOUR + 3600.0):
            rows = history.values(7, ["load"], HOUR - 3600.0, until, 60)
            self.assertEqual([row for row in rows if row.time + 120.0 <= HOUR + 1800.0], [], until)

    def test_a_pause_is_a_gap(self) -> None:
        """No row covers a time in which nothing was written, and what is there is not stretched."""
        log, history = self.make_history()
        write_samples(log, 1_000_000.0, 5)
        write_samples(log, 1_000_100.0, 5)
        log.close()
        rows = history.values(7, ["load"], 1_000_000.0, 1_000_110.0, 11)
        self.assertEqual([row.time for row in rows], [1_000_000.0, 1_000_100.0])

    def test_the_clock_may_step_back_and_forth(self) -> None:
        """Samples of both times are found where they belong."""
        log, history = self.make_history()
        write_samples(log, 1_000_000.0, 10)
        write_samples(log, 900_000.0, 10)
        write_samples(log, 1_000_020.0, 10)
        log.close()
        found = [row.mean for row in history.values(7, ["load"], 900_000.0, 900_010.0, 1)]
        self.assertEqual(found, [4.5])
        found = [row.time for row in history.values(7, ["load"], 1_000_000.0, 1_000_030.0, 3)]
        self.assertEqual(found, [1_000_000.0, 1_000_020.0])

    def test_processes_of_a_moment(self) -> None:
        """Those of the last scan before it, with what was known of them, and which belonged to jobs."""
        log, history = self.make_history()
        first = ProcessTable(1_000_000.0, (process(10, 5.0, "old"), process(11, 99.0, "spin -x")))
        second = ProcessTable(1_000_005.0, (process(11, 50.0, "spin -x"), process(12, None, "new")))
        log.write_processes(NODE, first, False, frozenset())
        log.write_processes(NODE, second, True, frozenset({process(12, None).identity}))
        log.close()
        then = history.processes_at(7, 1_000_004.0)
        assert then is not None
        self.assertEqual([(each.pid, each.cpu_percent, each.command) for each in then.processes],
                         [(10, 5.0, "old"), (11, 99.0, "spin -x")])  # fmt: skip
        self.assertEqual((then.node, then.by, then.taken_at, then.hidden), (7, 7, 1_000_000.0, False))
        now = history.processes_at(7, 1_000_006.0)
        assert now is not None
        self.assertEqual([each.pid for each in now.processes], [11, 12])
        self.assertEqual((now.hidden, now.in_jobs), (True, {process(12, None).identity}))
        self.assertIsNone(history.processes_at(7, 999_999.0))
        self.assertIsNone(history.processes_at(7, 1_001_000.0))
        self.assertEqual(then.processes[0], replace(first.processes[0], cpu_percent=5.0))

    def test_nodes_of_a_moment(self) -> None:
        """Every node as it was then, with the age of what is known, and other nodes by minute."""
        log, history = self.make_history()
        log.write_nodes([NODE, OTHER], 1_000_020.0)
        log.write_nodes([NODE, replace(OTHER, load=30)], 1_000_030.0)
        log.write_nodes([NODE, Node(9, "beta", "10.0.0.9", Status.CONFIGURED)], 1_000_080.0)
        log.close()
        then = history.nodes_at(1_000_055.0)
        self.assertEqual([(node.id, node.name, node.up, node.load) for node in then],
                         [(7, "alpha", True, 50), (9, "beta", True, 20)])  # fmt: skip
        [_own, other] = history.nodes_at(1_000_085.0)
        self.assertEqual((other.up, other.load), (False, None))
        rows = history.values(9, ["load", "mem"], 1_000_000.0, 1_000_060.0, 1)
        self.assertEqual([(row.field, row.min, row.mean, row.max, row.by) for row in rows],
                         [("load", 10, 20.0, 30, 7), ("mem", 500, 500.0, 500, 7)])  # fmt: skip
        found = history.find_node("beta")
        assert found is not None
        self.assertEqual((found.id, found.up), (9, False))

    def test_measures_are_fields_with_labels(self) -> None:
        """Those that are kept, beside the samples of every second."""
        log, history = self.make_history()
        for at in range(40):
            log.write(NODE, replace(SAMPLE, taken_at=1_000_000.0 + at))
            if at % 15 == 0:
                free = Measure("filesystem_avail_bytes", 1e9 + at, {"mountpoint": "/srv/my data"}, kept=True)
                log.write_measures([free, Measure("uptime_seconds", 5.0)], 1_000_000.0 + at)
        log.close()
        name = "filesystem_avail_bytes:/srv/my\\x20data"
        self.assertEqual([each for each in history.fields(7) if ":" in each or "uptime" in each], [name])
        rows = history.values(7, [name], 1_000_000.0, 1_000_040.0, 2)
        self.assertEqual([(row.min, row.max) for row in rows], [(1e9, 1e9 + 15), (1e9 + 30, 1e9 + 30)])

    def test_events_of_a_time(self) -> None:
        """Oldest first, whole, and with whether others' jobs were hidden then."""
        log, history = self.make_history()
        log.write_event(EVENT, True)
        log.write_event(replace(EVENT, time=EVENT.time + 60, uid=None), False)
        log.close()
        [first, second] = history.events(EVENT.time, EVENT.time + 60)
        self.assertEqual((first.event, first.hidden, second.hidden), (EVENT, True, False))
        self.assertEqual([*history.events(EVENT.time + 1, EVENT.time + 59)], [])

    def test_events_of_a_kind(self) -> None:
        """Many of another kind that came later do not hide them."""
        log, history = self.make_history()
        down = replace(EVENT, kind=EventKind.DOWN, uid=None)
        log.write_event(down, False)
        log.write_event(replace(EVENT, time=EVENT.time + 1), False)
        log.write_event(replace(EVENT, kind=EventKind.ENDED, time=EVENT.time + 2), False)
        log.close()
        found = history.events(EVENT.time, EVENT.time + 9, ["down", "ended"])
        self.assertEqual([each.event.kind.value for each in found], ["down", "ended"])

    def test_what_another_node_has_sent(self) -> None:
        """Its busiest processes are kept, and the answer says who remembers them."""
        log, history = self.make_history()
        sent = RememberedTable(9, 9, 1_000_000.0, True, TABLE.processes, frozenset({"7-11-100"}))
        log.write_remembered(sent)
        log.close()
        then = history.processes_at(9, 1_000_060.0)
        assert then is not None
        self.assertEqual((then.node, then.by, then.taken_at, then.hidden), (9, 7, 1_000_000.0, True))
        self.assertEqual((tuple(then.processes), then.in_jobs), (TABLE.processes, {"7-11-100"}))
        self.assertIsNone(history.processes_at(9, 1_001_000.0))
