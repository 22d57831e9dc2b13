"""The parsers of the node's own /proc files, with captured text; 2.4's too."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gomd.sources.files import ProcRoot
from gomd.sources.linux.details import Transferred, parse_command, parse_transferred
from gomd.sources.linux.devices import (
    parse_disk_io,
    parse_diskstats,
    parse_net_dev,
    read_disks,
    read_network,
)
from gomd.sources.linux.kernelstat import KernelStat, parse_kernel_stat
from gomd.sources.linux.load import parse_loadavg
from gomd.sources.linux.meminfo import parse_meminfo, parse_vmstat, read_memory, read_paging
from gomd.sources.linux.pressure import parse_pressure, read_pressure
from libgomd.errors import SourceUnavailable
from libgomd.model import Disk, Interface, Memory, Paging, Pressure
from tests.unit.sources.captured import captured
from tests.unit.sources.linux_proc import DATA

ROOT = ProcRoot(str(DATA))
K = 1024
PARSERS: list[Callable[[str], object]] = [
    parse_kernel_stat, parse_loadavg, parse_meminfo, parse_vmstat, parse_diskstats, parse_net_dev,
    parse_pressure,
]  # fmt: skip


class ParserTests(SynchronousTestCase):
    def test_stat(self) -> None:
        """Processors that are online, their time, runnable tasks, the moment of boot."""
        found = parse_kernel_stat((DATA / "stat").read_text())
        self.assertEqual(found, KernelStat(2, (12998, 20, 2580, 346401, 503, 0, 137, 339), 4, 1795342775))
        self.assertEqual((found.idle, found.waited, found.stolen), (346904, 503, 339))

    def test_stat_of_2_4(self) -> None:
        """Four columns, swap and disks in the same file, no count of runnable tasks."""
        found = parse_kernel_stat((captured("node1") / "stat").read_text())
        self.assertEqual((found.cpus, found.ticks, found.runnable), (1, (1722, 0, 627, 969), None))
        self.assertEqual(
            (found.boot_time, found.swapped, found.waited, found.stolen), (1795341260, (0, 0), None, 0)
        )
        self.assertEqual(parse_disk_io(found.disk_io), (Disk("3:0", 2554 * 512, 26 * 512),))

    def test_stat_of_one_processor_without_a_number(self) -> None:
        """A 2.2 kernel for one processor has a `cpu` line only."""
        self.assertEqual(parse_kernel_stat("cpu 1 2 3 4\nbtime 5\n"), KernelStat(1, (1, 2, 3, 4), None, 5))

    def test_offline_processors_do_not_count(self) -> None:
        """A processor that was switched off has no line; the numbers of the others have a gap."""
        self.assertEqual(parse_kernel_stat("cpu 1 2 3 4\ncpu0 1 2 3 4\ncpu3 0 0 0 0\n").cpus, 2)

    def test_memory(self) -> None:
        """What a new process could get, what is free, what there is; in bytes."""
        self.assertEqual(
            read_memory(ROOT), Memory(22000000 * K, 20000000 * K, 24684096 * K, 1048576 * K, 1048000 * K)
        )

    def test_memory_of_an_old_kernel(self) -> None:
        """Without MemAvailable: free memory, buffers and cache, as openMosix counted."""
        found = read_memory(ProcRoot(str(captured("node1"))))
        self.assertEqual(found, Memory((119804 + 96 + 1292) * K, 119804 * K, 123364 * K, 0, 0))

    def test_no_swap_line_is_unknown(self) -> None:
        """A kernel built without swap does not say 0."""
        found = parse_meminfo("MemTotal: 10 kB\nMemFree: 5 kB\nMemAvailable: 7 kB\n")
        self.assertEqual(found, Memory(7 * K, 5 * K, 10 * K, None, None))

    def test_paging(self) -> None:
        """Pages since boot; on 2.4 only those swapped."""
        self.assertEqual(read_paging(ROOT), Paging(11, 13, 4557041, 2780))
        self.assertEqual(read_paging(ProcRoot(str(captured("node1")))), Paging(0, 0))
        self.assertEqual(parse_vmstat("pgfault 3\n"), Paging(faults=3))

    def test_disks(self) -> None:
        """Whole disks only, whatever their partitions are called; no loop disk that nobody used."""
        found = {disk.name: disk for disk in read_disks(ROOT)}
        self.assertEqual(list(found), ["loop1", "sda", "nvme0n1", "mmcblk0", "dm-0"])
        self.assertEqual(found["sda"], Disk("sda", 4090186 * 512, 1252360 * 512, 6508))

    def test_network(self) -> None:
        """Counters by interface, also where no space stands behind the colon."""
        self.assertEqual(
            read_network(ROOT),
            (
                Interface("lo", 1446367, 6094, 0, 1446367, 6094, 0),
                Interface("eth0", 126864721, 4023, 2, 279725, 2471, 1),
            ),
        )

    def test_pressure(self) -> None:
        """Percent of the last ten seconds."""
        self.assertEqual(read_pressure(ROOT), Pressure(1.5, 0.31, 0.25, 0.0, 0.0))

    def test_only_whole_text_is_believed(self) -> None:
        """Half a file, or none, is an error and never a 0."""
        whole = {
            parse_kernel_stat: ("", "cpu 1 2", "cpu a b c d", "cpu0 1 2 3 4\n", "btime x"),
            parse_loadavg: ("", "0.1 0.2", "0.1 0.2 0.3 1/2", "nan 1 1 1/2 3", "a b c 1/2 3"),
            parse_meminfo: (
                "",
                "MemTotal: 5 kB",
                "MemTotal: 5 kB\nMemFree:",
                "MemTotal: x kB\nMemFree: 1 kB",
            ),
            parse_vmstat: ("pgfault", "pgfault x"),
            parse_diskstats: ("8 0", "8 0 sda 1 2", "8 0 sda 1 2 x 4 5 6 7 8 9 10 11 12"),
            parse_net_dev: ("a\nb\neth0: 1 2", "a\nb\nx", "a\nb\neth0: " + "x " * 16),
            parse_pressure: ("some", "some avg10=x y", "some avg60=1 y", "some avg10=inf y"),
        }
        for parse, texts in whole.items():
            for text in texts:
                self.assertRaises(SourceUnavailable, parse, text)

    def test_any_text_gives_a_value_or_the_one_error(self) -> None:
        """Whatever a broken kernel writes, the daemon only says that the part is unavailable."""

        @settings(max_examples=150, deadline=None)
        @given(st.text("cpu0123 \n:/()=.avgsomeMF\tx", max_size=80))
        def check(text: str) -> None:
            for parse in PARSERS:
                try:
                    parse(text)
                except SourceUnavailable as error:
                    self.assertNotIn("\n", str(error))

        check()


class DetailTests(SynchronousTestCase):
    def test_a_command_line_is_safe_to_print(self) -> None:
        """Arguments are parted by spaces; an escape sequence cannot reach a terminal."""
        self.assertEqual(
            parse_command(b"./simulate\0--steps\0\x1b[31m\xff\0"), "./simulate --steps \\x1b[31m\\xff"
        )
        self.assertEqual(parse_command(b"nginx: worker process\0\0\0   \0"), "nginx: worker process")
        self.assertEqual(parse_command(b"\0\0"), "")

    def test_what_a_process_read_and_wrote(self) -> None:
        """Bytes from and to storage; nothing at all of a file that is cut short."""
        data = (DATA / "4711" / "io").read_bytes()
        self.assertEqual(parse_transferred(data), Transferred(1000000, 500000))
        for end in range(len(data) - 1):
            if end != data.index(b"cancelled"):  # which an older kernel ends before
                self.assertIsNone(parse_transferred(data[:end]))
        self.assertIsNone(parse_transferred(data.replace(b"1000000", b"many")))
