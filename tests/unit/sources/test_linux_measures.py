"""Measures of a node: parsed from files of several kernels; a file system that hangs costs its own row."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gomd.sources.files import ProcRoot
from gomd.sources.linux.descriptors import parse_file_nr
from gomd.sources.linux.disk_times import parse_disk_times
from gomd.sources.linux.filesystems import FileSystems, MountedFilesystem, measures_of, parse_mountinfo
from gomd.sources.linux.kernel_counts import parse_kernel_counts
from gomd.sources.linux.links import parse_drops
from gomd.sources.linux.measures import Measures
from gomd.sources.linux.memory_use import parse_memory_use, parse_oom_kills
from gomd.sources.linux.pressure_totals import parse_totals
from gomd.sources.linux.sockets import parse_snmp, parse_sockstat
from gomd.sources.linux.temperatures import parse_temperature, read_temperatures, read_throttling
from libgomd.errors import SourceUnavailable
from libgomd.model import Measure
from tests.unit.sources.captured import captured
from tests.unit.sources.linux_proc import DATA, directory

#: From a 6.1 kernel, shortened.
STAT = """\
cpu  1948885 1375517 967815 1749756 10905 0 16028 7990 0 0
cpu0 925404 665385 470055 962486 3615 0 6201 3958 0 0
intr 42733444 0 0 1
ctxt 168117461
btime 1795872517
processes 1671066
procs_running 19
procs_blocked 3
softirq 43210724 0
"""
#: From a 2.4 kernel: four modes, no blocked tasks.
OLD_STAT = (
    "cpu  100 0 50 9000\ncpu0 100 0 50 9000\npage 5 6\nswap 1 2\nctxt 77\nbtime 1100000000\nprocesses 36\n"
)
MOUNTINFO = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
31 27 254:0 /srv /srv/bind rw,relatime - ext4 /dev/vda rw
32 27 0:40 / /net rw,relatime - autofs systemd-1 rw,fd=45
33 27 0:41 / /srv/my\040data rw,relatime - nfs4 server:/export ro,vers=4.2
34 27 0:42 / /hidden rw - tmpfs first rw
35 27 0:43 / /hidden ro - tmpfs second rw
36 27 0:44 / /run/user shared:3 - tmpfs
37 27 0:45 / /home/eve/mnt rw - fuse.sshfs eve rw,user_id=1000,group_id=1000,allow_other
38 27 0:46 / /srv/remote rw - fuse.sshfs root rw,user_id=0,group_id=0
nonsense
"""
SNMP = """\
Ip: Forwarding DefaultTTL
Ip: 2 64
Tcp: RtoAlgorithm MaxConn ActiveOpens PassiveOpens CurrEstab InSegs OutSegs RetransSegs InErrs
Tcp: 1 -1 120 78 11 1000 2000 4032 0
"""
NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
eth0:1:100 2 3 40 5 6 7 8 9 10 11 120 13 14 15 16
"""  # noqa: E501 - as the kernel writes it
DISKSTATS = """\
   8       0 sda 100 5 800 250 50 6 400 500 3 700 750 0 0 0 0
   8       1 sda1 90 5 700 200 40 6 300 400 0 600 650
   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0
"""


def keyed(measures: Iterable[Measure]) -> dict[str, float]:
    """Return the values by their keys."""
    return {each.key: each.value for each in measures}


def test_processor_time_and_counts() -> None:
    """By mode, of all and of each; what the kernel lacks is absent, never 0."""
    found = keyed(parse_kernel_counts(STAT, 100))
    assert found["cpus_seconds:user"] == 19488.85
    assert found["cpu_seconds:0:iowait"] == 36.15
    assert found["context_switches"] == 168117461
    assert (found["forks"], found["processes_blocked"], found["boot_time_seconds"]) == (
        1671066,
        3,
        1795872517,
    )
    old = keyed(parse_kernel_counts(OLD_STAT, 100))
    assert (old["cpu_seconds:0:idle"], "cpu_seconds:0:iowait" in old, "processes_blocked" in old) == (
        90.0, False, False
    )  # fmt: skip


def test_captured_kernels_are_understood() -> None:
    """Of a stock kernel and of 2.4 with openMosix."""
    for root in (DATA, captured("node1")):
        stat = (root / "stat").read_text("ascii")
        assert "forks" in keyed(parse_kernel_counts(stat, 100))
        assert "memory_use_bytes:file" in keyed(parse_memory_use((root / "meminfo").read_text("ascii")))
    assert [name for name, _, _ in parse_drops((DATA / "net" / "dev").read_text("ascii"))]


def test_memory_by_use_and_kills() -> None:
    """In bytes; kernels before 4.13 do not count kills."""
    found = keyed(parse_memory_use("MemTotal: 9 kB\nAnonPages:  2 kB\nDirty:  1 kB\nOdd\n"))
    assert found == {"memory_use_bytes:anonymous": 2048, "memory_use_bytes:dirty": 1024}
    assert keyed(parse_oom_kills("pgfault 1\noom_kill 70\n")) == {"oom_kills": 70}
    assert keyed(parse_oom_kills("pgfault 1\n")) == {}


def test_pressure_totals() -> None:
    """In seconds."""
    text = (
        "some avg10=98.51 avg60=98.57 avg300=97.76 total=1500000\nfull avg10=0.00 avg60=0 avg300=0 total=0\n"
    )
    assert parse_totals(text) == {"some": 1.5, "full": 0.0}
    assert parse_totals("") == {}


def test_sockets_and_retransmits() -> None:
    """By protocol and state; the columns are found by their names."""
    text = "sockets: used 67\nTCP: inuse 11 orphan 0 tw 1 alloc 57 mem 61\nUDP: inuse 5 mem 0\n"
    found = keyed(parse_sockstat(text))
    assert found["sockets_used"] == 67
    assert (found["sockets:tcp:tw"], found["sockets:udp:inuse"], "sockets:tcp:mem" in found) == (1, 5, False)
    found = keyed(parse_snmp(SNMP))
    assert (found["tcp_retransmitted_segments"], found["tcp_connections"]) == (4032, 11)
    assert keyed(parse_snmp("Udp: x\n")) == {}


def test_drops_of_interfaces() -> None:
    """Also of an alias with a colon in its name."""
    assert [*parse_drops(NET_DEV)] == [("lo", 4, 12), ("eth0:1", 40, 120)]


def test_times_of_disks() -> None:
    """Of whole disks, in seconds."""
    found = keyed(parse_disk_times(DISKSTATS, {"sda"}))
    assert found == {
        "disk_reads:sda": 100, "disk_read_time_seconds:sda": 0.25, "disk_writes:sda": 50,
        "disk_write_time_seconds:sda": 0.5, "disk_requests:sda": 3,
    }  # fmt: skip


def test_open_files() -> None:
    """Those that are used, and the limit; the largest number there is counts as none."""
    assert keyed(parse_file_nr("4013\t13\t100000\n")) == {"open_files": 4000, "open_files_limit": 100000}
    assert keyed(parse_file_nr("")) == {}


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (lambda text: parse_kernel_counts(text, 100), "ctxt"),
        (lambda text: parse_kernel_counts(text, 100), "cpu0 1 x"),
        (parse_memory_use, "Dirty:"), (parse_memory_use, "Dirty: much"), (parse_oom_kills, "oom_kill x"),
        (lambda text: parse_totals(text).items(), "some avg10=0"),
        (parse_sockstat, "TCP: inuse"), (parse_sockstat, "TCP: inuse x"),
        (parse_snmp, "Tcp: CurrEstab\n"), (parse_snmp, "Tcp: A B\nTcp: 1\n"),
        (parse_snmp, "Tcp: InErrs\nTcp: x\n"),
        (parse_drops, "\n\neth0: 1 2 3\n"), (parse_file_nr, "1 2"),
        (lambda text: parse_disk_times(text, {"sda"}), "8 0 sda x 0 0 0 0 0 0 0 0 0 0"),
    ],
)  # fmt: skip
def test_what_is_cut_is_one_error(parse: Callable[[str], Iterable[Any]], text: str) -> None:
    """A file that was cut costs its own values only."""
    with pytest.raises(SourceUnavailable, match="is not understood"):
        list(parse(text))


@given(st.text(max_size=200))
def test_any_text_is_understood_or_that_error(text: str) -> None:
    """Whatever a kernel writes."""
    parsers: list[Callable[[str], Iterable[Any]]] = [
        lambda text: parse_kernel_counts(text, 100), parse_memory_use, parse_oom_kills, parse_totals,
        parse_sockstat, parse_snmp, parse_drops, parse_file_nr, parse_mountinfo,
        lambda text: parse_disk_times(text, {"sda"}),
    ]  # fmt: skip
    for parse in parsers:
        try:
            list(parse(text))
        except SourceUnavailable:
            pass


def test_temperatures(tmp_path: Path) -> None:
    """With labels of the chip; sensors that are off and disks are left out."""
    for chip, name, files in (
        (
            "hwmon0",
            "coretemp",
            {"temp1_input": "45500", "temp1_label": "Package id 0", "temp2_input": "-999999"},
        ),
        ("hwmon1", "drivetemp", {"temp1_input": "30000"}),
        ("hwmon2", "nct6775", {"temp7_input": "12000", "in0_input": "5"}),
    ):
        place = tmp_path / "class" / "hwmon" / chip
        place.mkdir(parents=True)
        (place / "name").write_text(f"{name}\n")
        for file, text in files.items():
            (place / file).write_text(f"{text}\n")
    assert keyed(read_temperatures(str(tmp_path))) == {
        "temperature_celsius:coretemp:Package id 0": 45.5, "temperature_celsius:nct6775:temp7": 12.0
    }  # fmt: skip
    throttle = tmp_path / "devices" / "system" / "cpu" / "cpu3" / "thermal_throttle"
    throttle.mkdir(parents=True)
    (throttle / "core_throttle_count").write_text("17\n")
    assert keyed(read_throttling(str(tmp_path))) == {"cpu_throttles:3": 17}
    assert parse_temperature("hot") is None


def test_which_file_systems_are_looked_at() -> None:
    """Each once, at its shortest place; never autofs, which would mount something, nor FUSE of a user."""
    assert parse_mountinfo(MOUNTINFO) == [
        MountedFilesystem("/", "254:0", "ext4", False), MountedFilesystem("/hidden", "0:43", "tmpfs", True),
        MountedFilesystem("/srv/my data", "0:41", "nfs4", True),
        MountedFilesystem("/srv/remote", "0:46", "fuse.sshfs", False),
    ]  # fmt: skip


class FileSystemTests(SynchronousTestCase):
    """One that hangs keeps a helper thread, and nothing else."""

    def setUp(self) -> None:
        self.gate = Event()
        self.addCleanup(self.gate.set)
        self.asked: list[str] = []
        self.systems = FileSystems(ProcRoot("/proc"), self.look, timeout=0.05)

    def look(self, point: str) -> os.statvfs_result:
        self.asked.append(point)
        if point == "/dead":
            self.gate.wait(30.0)
        if point == "/gone":
            raise FileNotFoundError(point)
        return os.statvfs("/")

    def test_the_others_are_told(self) -> None:
        """Those before it and behind it; it is not asked again while it hangs."""
        points = ["/a", "/dead", "/gone", "/b"]
        self.assertEqual(sorted(self.systems.look_at(points)), ["/a", "/b"])
        self.assertEqual(sorted(self.systems.look_at(points)), ["/a", "/b"])
        self.assertEqual(self.asked.count("/dead"), 1)

    def test_values_of_one(self) -> None:
        """One that hangs says only that; one that cannot be asked says nothing of its size."""
        mount = MountedFilesystem("/srv", "8:1", "ext4", True)
        found = keyed(measures_of(mount, os.statvfs("/"), False))
        self.assertEqual((found["filesystem_readonly:/srv:ext4"], found["filesystem_hung:/srv:ext4"]), (1, 0))
        self.assertGreater(found["filesystem_size_bytes:/srv"], 0)
        self.assertEqual(keyed(measures_of(mount, None, True))["filesystem_hung:/srv:ext4"], 1)

    def test_one_reader_that_fails_does_not_stop_the_rest(self) -> None:
        """A broken file costs its own values; of a captured tree no file system of this machine is told."""
        root = directory(self) / "proc"
        shutil.copytree(DATA, root)
        (root / "stat").write_text("ctxt\n")
        found = keyed(Measures(ProcRoot(str(root)), "/missing", lambda: ()).read())
        self.assertIn("memory_use_bytes:file", found)
        self.assertNotIn("context_switches", found)
        self.assertFalse([name for name in found if name.startswith("filesystem")])
