"""Numbers that cannot be: each costs itself, and nothing else that the node says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gomd.sources.files import ProcRoot
from gomd.sources.linux.details import Transferred, parse_resident, parse_transferred
from gomd.sources.linux.devices import parse_diskstats, parse_net_dev
from gomd.sources.linux.kernelstat import parse_kernel_stat, read_boot_time
from gomd.sources.linux.load import CpuShares, parse_loadavg
from gomd.sources.linux.meminfo import parse_meminfo, parse_vmstat
from gomd.sources.linux.numbers import rate, whole
from gomd.sources.linux.pidstat import cpu_percent, parse_pid_stat
from gomd.sources.linux.pressure import parse_pressure
from gomd.sources.linux.scan import ProcessScanner
from libgomd.errors import SourceUnavailable
from libgomd.model import Memory, Node, Paging, Part, Status
from libgomd.wire.bodies import decode_body, encode_body
from libgomd.wire.messages import MAX_NUMBER, Datagram, Summary, sent_values
from tests.unit.sources.linux_proc import DATA, copied, source_over
from tests.unit.sources.source_under_test import NOW

K = 1024
#: What kernels write when a counter has run below 0, and worse.
UNDERFLOWED = "18446744073708785356"
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70).map(str), st.just(UNDERFLOWED), st.integers(0, 9).map(str),
    st.just("9" * 400), st.just("00000000000000000000000000000000000000000000001"),
)  # fmt: skip
GARBAGE = st.one_of(NUMBERS, st.text(max_size=8), st.just("1_000"), st.just("१२"), st.just("1e3"))


def meminfo(**sizes: int | str) -> Memory:
    return parse_meminfo("".join(f"{name}: {size} kB\n" for name, size in sizes.items()))


class MemoryTests(SynchronousTestCase):
    def test_an_underflowed_size_is_unknown(self) -> None:
        """In a container MemFree can be 18446744073708785356 kB: more than there is."""
        found = meminfo(MemTotal=1000, MemFree=UNDERFLOWED, MemAvailable=700)
        self.assertEqual(found, Memory(700 * K, None, 1000 * K))

    def test_free_memory_takes_the_place_of_available_memory_that_cannot_be(self) -> None:
        """More available than there is: what is free can be had for sure."""
        self.assertEqual(meminfo(MemTotal=1000, MemFree=400, MemAvailable=1001).mem, 400 * K)
        self.assertIsNone(meminfo(MemTotal=1000, MemFree=1001, MemAvailable=1001).mem)

    def test_each_size_costs_only_itself(self) -> None:
        """No memory at all, more swap free than there is, an old kernel's wrong cache."""
        found = meminfo(MemTotal=0, MemFree=4, MemAvailable=7, SwapTotal=5, SwapFree=6)
        self.assertEqual(found, Memory(7 * K, 4 * K, None, 5 * K, None))
        found = meminfo(MemTotal=100, MemFree=40, Buffers=UNDERFLOWED, Cached=10)
        self.assertEqual(found, Memory(50 * K, 40 * K, 100 * K))
        self.assertEqual(meminfo(MemTotal=-5, MemFree=-4), Memory(None, None, None))


class ProcessorTests(SynchronousTestCase):
    def shares(self, *columns: str) -> tuple[float | None, float | None, int | None]:
        shares = CpuShares()
        for line in columns:
            cpu = shares.update(parse_kernel_stat(f"cpu  {line}\ncpu0 {line}\n"), 15000)
        return cpu.busy_percent, cpu.iowait_percent, cpu.util

    def test_a_column_that_runs_back_counts_nothing(self) -> None:
        """iowait that ran back by 90 ticks made 25 % of 45 %."""
        found = self.shares("1000 0 0 4000 500 0 0 0", "1050 0 0 4150 410 0 0 0")
        self.assertEqual(found, (25.0, 0.0, 100))

    def test_each_column_may_run_back_or_be_wrong(self) -> None:
        """Whichever it is, the others say what they say; and what comes after it is right again."""
        before = [1000, 1000, 1000, 4000, 500, 100, 100, 100]
        for column in range(8):
            for bad in ("5", UNDERFLOWED, "-1"):
                middle = [str(ticks + 10) for ticks in before]
                middle[column] = bad
                after = [str(ticks + 20) for ticks in before]
                busy, waited, util = self.shares(" ".join(map(str, before)), " ".join(middle))
                for share in (busy, waited):
                    self.assertTrue(share is None or 0.0 <= share <= 100.0, (column, bad, share))
                assert util is not None
                self.assertTrue(0 <= util <= 100)
                if bad != "5":
                    shares = self.shares(" ".join(map(str, before)), " ".join(middle), " ".join(after))
                    self.assertTrue(all(share is None or 0 <= share <= 100 for share in shares), shares)

    def test_counters_of_another_machine_begin_anew(self) -> None:
        """When all of them ran back, there is no share rather than the one of before."""
        found = self.shares("1000 0 0 4000 0 0 0 0", "1050 0 0 4050 0 0 0 0", "10 0 0 40 0 0 0 0")
        self.assertEqual(found, (None, None, 100))

    def test_runnable_tasks_and_load_averages(self) -> None:
        """More tasks than a kernel can have, or less than none."""
        self.assertEqual(parse_loadavg("0.5 0.25 0.125 -3/99 1\n"), ((0.5, 0.25, 0.125), None))
        self.assertEqual(parse_loadavg(f"0.5 0.25 {UNDERFLOWED} 3/99 1\n"), (None, 3))
        self.assertIsNone(parse_kernel_stat(f"cpu 1 2 3 4\nprocs_running {UNDERFLOWED}\n").runnable)

    def test_a_boot_time_that_cannot_be_is_worked_out(self) -> None:
        """Without it there would be no process at all: /proc/uptime says it too."""
        root = copied(self)
        (root / "uptime").write_text("1000.25 900.00\n")
        for line in (f"btime {UNDERFLOWED}", "btime -5", "btime 0", "nothing"):
            (root / "stat").write_text(f"cpu a b c\n{line}\n")
            self.assertEqual(read_boot_time(ProcRoot(str(root)), lambda: NOW), round(NOW - 1000.25))
            self.assertEqual(len(ProcessScanner(ProcRoot(str(root)), 7, frozenset).scan(NOW)), 4)
        (root / "uptime").write_text("nan nan\n")
        self.assertRaises(SourceUnavailable, read_boot_time, ProcRoot(str(root)))


class CounterTests(SynchronousTestCase):
    def test_disks_and_interfaces(self) -> None:
        """One counter that cannot be hides neither the others of its line nor the other lines."""
        [sda, sdb] = parse_diskstats(
            f"8 0 sda 1 2 {UNDERFLOWED} 4 5 6 7 8 9 10 11\n8 16 sdb 1 2 3 4 5 6 7 8 9 -1 11\n"
        )
        self.assertEqual((sda.read_bytes, sda.written_bytes, sda.busy_ms), (None, 7 * 512, 10))
        self.assertEqual((sdb.read_bytes, sdb.written_bytes, sdb.busy_ms), (3 * 512, 7 * 512, None))
        counters = [str(number) for number in range(16)]
        counters[1] = UNDERFLOWED
        [eth0, lo] = parse_net_dev(f"a\nb\neth0: {' '.join(counters)}\nlo: {'3 ' * 16}\n")
        self.assertEqual((eth0.received_bytes, eth0.received_packets, eth0.sent_bytes), (0, None, 8))
        self.assertEqual(lo.sent_errors, 3)

    def test_pages_pressure_and_what_a_process_moved(self) -> None:
        """Each number has its own range."""
        self.assertEqual(parse_vmstat(f"pswpin {UNDERFLOWED}\npgfault 3\n"), Paging(None, None, 3))
        self.assertEqual(
            parse_pressure("some avg10=100.01 avg60=0\nfull avg10=1.5 avg60=0\n"), {"some": None, "full": 1.5}
        )
        io = f"rchar: 1\nread_bytes: {UNDERFLOWED}\nwrite_bytes: 7\n".encode()
        self.assertEqual(parse_transferred(io), Transferred(None, 7))
        self.assertIsNone(parse_resident(b"100 18446744073708785356 1 1 0 1 0\n"))
        self.assertEqual(parse_resident(b"100 60 1 1 0 1 0\n"), 60)

    def test_steps_of_counters(self) -> None:
        """A wrap at 32 or 64 bits, or a new beginning, counts 0; no step makes an endless rate."""
        self.assertEqual(rate(5, 2**32 - 1, 2.0), 0.0)
        self.assertEqual(rate(5, 2**64 - 1, 2.0), 0.0)
        self.assertEqual(rate(25, 5, 2.0), 10.0)
        for seconds in (0.0, -1.0, float("inf"), float("nan")):
            self.assertIsNone(rate(25, 5, seconds))
        self.assertEqual(cpu_percent(5, 2**32 - 1, 100, 1.0), 0.0)
        self.assertIsNone(cpu_percent(2**62, 5, 100, 1.0))
        self.assertIsNone(cpu_percent(None, 5, 100, 1.0))

    def test_what_is_a_number(self) -> None:
        """ASCII digits and nothing that Python takes as well."""
        self.assertEqual([whole(text) for text in ("007", "+7", b"7", "-0")], [7, 7, 7, 0])
        for text in ("", "1_0", "१", "0x7", "7 ", "1.0", "--1", b"\xff"):
            self.assertRaises(ValueError, whole, text)


#: The fields of a stat line that are used, by proc(5)'s numbers, and what of the process they are.
PROCESS_FIELDS = {
    4: "ppid", 9: "flags", 14: "ticks", 15: "ticks", 19: "nice", 20: "threads", 23: "vsize", 24: "rss",
}  # fmt: skip
STAT = (DATA / "4711" / "stat").read_bytes()


class ProcessTests(SynchronousTestCase):
    def with_field(self, number: int, value: str) -> bytes:
        before, after = STAT[: STAT.rfind(b") ") + 2], STAT[STAT.rfind(b") ") + 2 :].split()
        after[number - 3] = value.encode()
        return before + b" ".join(after) + b"\n"

    def test_a_field_costs_only_itself(self) -> None:
        """utime, nice, threads, vsize and rss out of their ranges; the process is there all the same."""
        good = parse_pid_stat(STAT)
        for number, name in PROCESS_FIELDS.items():
            for value in (UNDERFLOWED, "-99999999999999999999999999", "9" * 100):
                found = parse_pid_stat(self.with_field(number, value))
                unknown = 0 if name in ("ppid", "flags") else None
                self.assertEqual(getattr(found, name), unknown, (number, value))
                self.assertEqual(found._replace(**{name: getattr(good, name)}), good)

    def test_a_start_that_cannot_be_still_names_the_process(self) -> None:
        """In a time namespace it may lie before the boot: it is part of the identity, and no time."""
        root = copied(self)
        (root / "4711" / "stat").write_bytes(self.with_field(22, UNDERFLOWED))
        found = ProcessScanner(ProcRoot(str(root)), 7, frozenset).read(4711, NOW)
        self.assertEqual((found.started, found.start_time), (int(UNDERFLOWED), None))
        self.assertEqual(found.identity, f"7-4711-{UNDERFLOWED}")


FILES = (
    "stat",
    "loadavg",
    "meminfo",
    "vmstat",
    "diskstats",
    "net/dev",
    "pressure/io",
    "4711/stat",
    "4711/io",
)
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


class WholeNodeTests(SynchronousTestCase):
    def test_one_bad_value_silences_nothing_else(self) -> None:
        """
        Any field of any file becomes any number or garbage: every other part is read, the table is there,
        and what is known of the node can be sent.
        """
        root = copied(self)
        source = source_over(self, root)
        good = {name: (root / name).read_text(errors="surrogateescape") for name in FILES}
        parts_of = {
            "stat": {Part.LOAD, Part.CPU}, "loadavg": {Part.LOAD}, "meminfo": {Part.MEMORY},
            "vmstat": {Part.PAGING}, "diskstats": {Part.DISKS}, "net/dev": {Part.NETWORK},
            "pressure/io": {Part.PRESSURE},
        }  # fmt: skip

        @settings(max_examples=150, deadline=None)
        @given(st.sampled_from(FILES), st.integers(0, 10**6), GARBAGE)
        def check(name: str, at: int, value: str) -> None:
            places = [*_NUMBER.finditer(good[name])]
            place = places[at % len(places)]
            text = good[name][: place.start()] + value + good[name][place.end() :]
            (root / name).write_text(text, errors="surrogateescape")
            try:
                values: dict[str, Any] = {}
                for part in source.parts:
                    try:
                        values[part.value] = source.sample(part, NOW + at)
                    except SourceUnavailable:
                        self.assertIn(part, parts_of.get(name, ()), (name, value))
                self.assertGreaterEqual(len(source.processes(NOW + at).processes), 3)
                self.sent(values)
            finally:
                (root / name).write_text(good[name], errors="surrogateescape")

        check()

    def sent(self, values: dict[str, Any]) -> None:
        """See that a node with these values can be sent."""
        load, cpu, memory = (values.get(name) for name in ("load", "cpu", "memory"))
        node = Node(
            1, "alpha", "10.0.0.1", Status(3), load and load.load, cpu and cpu.speed, cpu and cpu.cpus,
            cpu and cpu.util, memory and memory.mem, memory and memory.rmem, memory and memory.tmem, 0.5,
        )  # fmt: skip
        datagram = Datagram(1, 2, 3, 4, Summary.of(7, node))
        self.assertEqual(decode_body(encode_body(datagram, 0), 0), datagram)

    def test_garbage_costs_its_part_and_no_other(self) -> None:
        """A number that is none makes the part unavailable with a sentence; its neighbours are as before."""
        root = copied(self)
        source = source_over(self, root)
        path = Path(root, "net", "dev")
        path.write_text(path.read_text().replace("126864721", "many"))
        with self.assertRaises(SourceUnavailable) as caught:
            source.sample(Part.NETWORK, NOW)
        self.assertIn("'many' is no whole number", str(caught.exception))
        self.assertIsInstance(source.sample(Part.MEMORY, NOW), Memory)


_any = st.one_of(st.none(), st.integers(-(2**80), 2**80))


@settings(max_examples=200, deadline=None)
@given(_any, _any, _any, _any, _any, _any, _any, st.one_of(st.none(), st.floats()), st.integers(0, 2**40))
def test_whatever_a_node_says_of_itself_can_be_sent(
    load: int | None, speed: int | None, cpus: int | None, util: int | None, mem: int | None,
    rmem: int | None, tmem: int | None, age: float | None, status: int,
) -> None:  # fmt: skip
    """A value that does not fit costs itself; one that fits arrives."""
    node = Node(1, "a", "10.0.0.1", Status(3), load, speed, cpus, util, mem, rmem, tmem, age)
    datagram = Datagram(1, 2, 3, 4, Summary.of(7, node)._replace(status=status & 0xFFFF))
    found = decode_body(encode_body(datagram, 0), 0).message
    assert found == datagram.message
    for said, sent, most in zip(
        (load, speed, cpus, util, mem, rmem, tmem), sent_values(node),
        (2**32 - 1, 2**32 - 1, 65535, 2**32 - 1, *(MAX_NUMBER,) * 3), strict=True,
    ):  # fmt: skip
        if said is not None and 0 <= said <= most:
            assert sent == said
        else:
            assert sent is None or (said is load and sent == most)
