"""The lines that awk reads."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gomd.history.columns import (
    CHECKPOINT_COLUMNS,
    HEADER,
    PROCESS_COLUMNS,
    SAMPLE_COLUMNS,
    TOP_PROCESSES,
    checkpoint_line,
    process_lines,
    sample_line,
)
from libgomd.model import Node, ProcessTable, Sample, Status
from tests.unit.history.contract import NODE, SAMPLE, TABLE, process


class LineTests(SynchronousTestCase):
    """One line a sample, one a process, one a mark."""

    def test_the_columns_of_a_sample_are_those_the_header_names(self) -> None:
        """`awk '$1 == "S" {print $2, $6}'` prints times and loads."""
        line = sample_line(NODE, SAMPLE)
        kind, *values = line.split()
        self.assertEqual((kind, line[-1], line.count("\n")), ("S", "\n", 1))
        named = dict(zip(SAMPLE_COLUMNS, values, strict=True))
        self.assertEqual(
            named,
            {
                "time": "1700000000.250", "node": "7", "name": "alpha", "status": "3", "load": "50",
                "speed": "15000", "cpus": "2", "util": "200", "mem": "1000", "rmem": "900", "tmem": "2000",
                "age": "1.25", "runnable": "3", "load1": "0.50", "load5": "0.25", "load15": "0.12",
                "busy_percent": "12.50", "iowait_percent": "0.00", "swap_total": "500", "swap_free": "400",
                "swapped_in": "1", "swapped_out": "2", "faults": "3", "major_faults": "4",
                "disk_read_bytes": "11", "disk_written_bytes": "22", "disk_busy_ms": "30",
                "net_received_bytes": "1", "net_received_packets": "2", "net_received_errors": "3",
                "net_sent_bytes": "4", "net_sent_packets": "5", "net_sent_errors": "6",
                "cpu_some": "-", "io_some": "-", "io_full": "-", "memory_some": "-", "memory_full": "-",
            },
        )  # fmt: skip

    def test_what_is_not_known_is_a_dash_and_never_zero(self) -> None:
        """A node that is down has a line with its name, its status and dashes."""
        line = sample_line(Node(9, "gone", "10.0.0.9", Status.CONFIGURED), Sample(taken_at=1.0))
        _, *values = line.split()
        named = dict(zip(SAMPLE_COLUMNS, values, strict=True))
        self.assertEqual((named.pop("time"), named.pop("node")), ("1.000", "9"))
        self.assertEqual((named.pop("name"), named.pop("status")), ("gone", "1"))
        self.assertEqual(set(named.values()), {"-"})

    def test_a_snapshot_is_the_busiest_first_all_at_one_time(self) -> None:
        """The ten that use most, by share of a processor, then by time used."""
        table = ProcessTable(5.0, tuple(process(pid, pid / 10) for pid in range(1, 30)))
        lines = process_lines(NODE, table).splitlines()
        self.assertEqual(
            [line.split()[4] for line in lines], [str(pid) for pid in range(29, 29 - TOP_PROCESSES, -1)]
        )
        self.assertEqual({" ".join(line.split()[:4]) for line in lines}, {"P 5.000 7 alpha"})

    def test_a_command_may_have_blanks_as_it_is_the_last_column(self) -> None:
        """Everything before the command is one word a column."""
        first = process_lines(NODE, TABLE).splitlines()[0]
        kind, *values = first.split(maxsplit=len(PROCESS_COLUMNS))
        named = dict(zip(PROCESS_COLUMNS, values, strict=True))
        self.assertEqual((kind, named["command"], named["pid"]), ("P", "spin -x", "11"))
        self.assertEqual((named["cpu_percent"], named["lock"], named["read_rate"]), ("99.00", "0", "-"))

    def test_no_name_and_no_command_breaks_a_line(self) -> None:
        """Whatever a process calls itself, it is one line, and its user's name one word."""
        table = ProcessTable(
            5.0, (process(1, 1.0, "a\nS 1 2\t\x1b[2J \udc80", user="a b\tc"), process(2, 0.5, ""))
        )
        first, second = process_lines(NODE, table).splitlines()
        self.assertTrue(first.endswith("a\\x0aS 1 2\\x09\\x1b[2J \\xed\\xb2\\x80"), first)
        self.assertEqual(first.split()[8], "a\\x20b\\x09c")
        self.assertTrue(second.endswith(" -"))

    def test_a_mark_has_its_name_to_the_end_of_the_line(self) -> None:
        """A checkpoint's name is for a person."""
        self.assertEqual(checkpoint_line("before  the\nupgrade", 2.5), "C 2.500 before  the\\x0aupgrade\n")
        self.assertEqual(checkpoint_line("", 2.5), "C 2.500 -\n")

    def test_the_header_names_every_column_once(self) -> None:
        """Three lines at the top say what is where."""
        lines = [line.split() for line in HEADER.splitlines()]
        self.assertEqual([line[0] for line in lines], ["#S", "#P", "#C"])
        for line, columns in zip(lines, (SAMPLE_COLUMNS, PROCESS_COLUMNS, CHECKPOINT_COLUMNS), strict=True):
            self.assertEqual(tuple(line[1:]), columns)
            self.assertEqual(len(set(columns)), len(columns))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40), st.text(max_size=10))
def test_any_process_is_one_line_with_every_column(command: str, user: str) -> None:
    """No name in the system can move a column or begin a line."""
    lines = process_lines(NODE, ProcessTable(1.0, (process(1, 1.0, command, user=user),)))
    assert lines.count("\n") == 1
    assert len(lines.encode().split(None, len(PROCESS_COLUMNS))) == len(PROCESS_COLUMNS) + 1
