"""The stat line of a process: its name is the process's own choice, and may be anything."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gomd.sources.linux.pidstat import PidStat, mask_pid_stat, parse_pid_stat
from libgomd.errors import SourceUnavailable
from tests.unit.sources.captured import captured
from tests.unit.sources.linux_proc import DATA

ODD = (DATA / "4711" / "stat").read_bytes()
NAMES = st.binary(max_size=64)


class PidStatTests(SynchronousTestCase):
    def test_every_field(self) -> None:
        """A name with spaces, parentheses and what looks like a state in it."""
        self.assertEqual(
            parse_pid_stat(ODD),
            PidStat(
                pid=4711, name=b"my (odd) S 1 name", state="R", ppid=1, flags=4194304, ticks=300, nice=5,
                threads=3, started=186307, vsize=2990080, rss=389,
                program=(b"my (odd) S 1 name", b"140729182628512", b"140729182636771"),
            ),
        )  # fmt: skip

    def test_2_4_has_fewer_fields(self) -> None:
        """No threads, no arguments' address; all else is there."""
        found = parse_pid_stat((captured("node1") / "36" / "stat").read_bytes())
        self.assertEqual(
            (found.pid, found.state, found.ticks, found.threads, found.rss), (36, "S", 1011, None, 11)
        )
        self.assertEqual(found.program, (b"testapp", b"3221225200", b""))
        self.assertFalse(found.of_kernel)

    def test_kernel_threads_are_told_apart(self) -> None:
        """By their flag, on 2.4 by having no memory; a zombie has none either."""
        lines = {
            DATA / "1": False, DATA / "2": True, DATA / "4712": False,
            captured("node1") / "1": False, captured("node1") / "2": True,
        }  # fmt: skip
        for directory, expected in lines.items():
            self.assertEqual(parse_pid_stat((directory / "stat").read_bytes()).of_kernel, expected, directory)

    def test_any_name_leaves_the_rest_as_it_is(self) -> None:
        """No name a process gives itself can forge its other fields."""

        @settings(max_examples=200, deadline=None)
        @given(NAMES)
        @example(b") Z 9 9 9 9")
        @example(b"\n1 (init) S 0 ")
        def check(name: bytes) -> None:
            found = parse_pid_stat(ODD.replace(b"my (odd) S 1 name", name))
            self.assertEqual(found._replace(name=b"", program=(b"", b"", b"")), expected)
            self.assertEqual(found.name, name)

        expected = parse_pid_stat(ODD)._replace(name=b"", program=(b"", b"", b""))
        check()

    def test_a_line_cut_anywhere_is_no_line(self) -> None:
        """Half a line is never taken for a process with smaller numbers."""
        for end in range(len(ODD) - 1):
            self.assertRaises(SourceUnavailable, parse_pid_stat, ODD[:end])

    def test_any_bytes_give_a_value_or_the_one_error(self) -> None:
        """Neither parser lets anything else out, and what comes out can be calculated with."""

        @settings(max_examples=300, deadline=None)
        @given(
            st.one_of(
                st.binary(max_size=200), st.builds(_damaged, st.integers(0, len(ODD)), st.binary(max_size=30))
            )
        )
        @example(ODD.replace(b"2990080", b"9" * 400))
        @example(ODD.replace(b"4711 (", b"9" * 5000 + b" (", 1))
        def check(data: bytes) -> None:
            for parse in (parse_pid_stat, mask_pid_stat):
                try:
                    found = parse(data)
                except SourceUnavailable as error:
                    self.assertNotIn("\n", str(error))
                else:
                    if isinstance(found, PidStat):
                        for number in (found.ticks, found.rss, found.vsize, found.threads):
                            self.assertTrue(number is None or 0 <= number < 2**64, number)
                        self.assertTrue(found.nice is None or -20 <= found.nice <= 19)

        check()

    def test_masking_leaves_what_has_no_memory(self) -> None:
        """A kernel thread has no addresses: a 0 stays a 0, also in the two that are masked to 1."""
        data = (DATA / "2" / "stat").read_bytes()
        masked = mask_pid_stat(data)
        self.assertEqual(
            parse_pid_stat(masked), parse_pid_stat(data)._replace(program=(b"kthreadd", b"0", b"0"))
        )
        self.assertEqual(masked.split()[25:27], [b"0", b"0"])
        self.assertEqual(masked.split()[34], b"0")


def _damaged(at: int, junk: bytes) -> bytes:
    return ODD[:at] + junk + ODD[at + len(junk) :]
