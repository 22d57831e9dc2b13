"""What every ISampleLog promises; each implementation's tests inherit it. And samples to log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zope.interface.verify import verifyObject

from gomd.interfaces import ISampleLog
from libgomd.model import (
    Cpu,
    Disk,
    Interface,
    Load,
    Memory,
    Node,
    Paging,
    Part,
    Process,
    ProcessTable,
    Sample,
    Status,
)

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
        log.write_processes(NODE, TABLE)
        log.write_processes(NODE, ProcessTable(1.0, ()))
        log.checkpoint("before the upgrade", 2.0)
        names = [counter.name for counter in log.counters()]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(
            [c.value for c in log.counters() if c.name == "log_lost"], [0] * ("log_lost" in names)
        )
        log.close()

    def test_it_can_be_closed_twice_and_takes_nothing_afterwards(self) -> None:
        """A sample that is still on its way when the daemon stops does no harm."""
        log = self.make_log()
        log.write(NODE, SAMPLE)
        log.close()
        before = [counter.value for counter in log.counters()]
        log.write(NODE, SAMPLE)
        log.write_processes(NODE, TABLE)
        log.checkpoint("late", 3.0)
        log.close()
        self.assertEqual([counter.value for counter in log.counters()], before)
