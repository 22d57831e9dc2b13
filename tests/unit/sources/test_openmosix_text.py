"""openMosix's small text files: numbers, the own id, guests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gomd.sources.openmosix.text import Guest, OwnId, parse_guest, parse_number, parse_own_id
from libgomd.errors import SourceUnavailable

IDENTITY = b"pid=348\nuid=500\ngid=100\npgrp=348\nsession=340\nnmigs=3\ncommand=make -j =4 x\n"
STATS = b"utime=1143\ncutime=0\nnice=-5\nstate=R\nvsize=1249280\nrss=11\nnswap=0\ncnswap=0\n"
GUEST = Guest(
    local_pid=32, home=1, home_address="10.0.0.1", pid=348, uid=500, gid=100, pgrp=348, session=340,
    nmigs=3, command="make -j =4 x", state="R", nice=-5, cpu_seconds=11.43, vsize=1249280, rss=11,
)  # fmt: skip


class NumberTests(SynchronousTestCase):
    def test_numbers_as_the_kernel_writes_them(self) -> None:
        """The first number counts, as for the kernel itself; -101 is the error of a dead node."""
        for data, number in (
            (b"57\n", 57), (b"-101\n", -101), (b"0", 0), (b"18446744073709551615\n", 2**64 - 1), (b" 3 4", 3),
        ):  # fmt: skip
            self.assertEqual(parse_number(data, "load"), number)

    def test_what_is_no_number_is_an_error_that_names_the_file(self) -> None:
        """An empty or broken file says which it is, and is never 0."""
        for data in (b"", b"\n", b"x", b"-", b"--1", b"1x", b"\xd9\xa1", b"9" * 5000):
            with self.assertRaises(SourceUnavailable) as caught:
                parse_number(data, "the load")
            self.assertIn("the load", str(caught.exception))

    def test_the_own_id_and_the_one_before(self) -> None:
        """A node that was turned off remembers its id: "0 (1)"."""
        for data, own in (
            (b"1\n", OwnId(1)), (b"65535\n", OwnId(65535)), (b"0\n", OwnId(0)), (b"0 (1)\n", OwnId(0, 1)),
        ):  # fmt: skip
            self.assertEqual(parse_own_id(data), own)
        for data in (b"", b"-1\n", b"65536\n", b"0 (x)\n", b"0 (65536)\n", b"0 ()"):
            self.assertRaises(SourceUnavailable, parse_own_id, data)


class GuestTests(SynchronousTestCase):
    def test_values_one_a_line_or_apart_by_spaces(self) -> None:
        """Newer kernels write a value a line, older ones all on one; both are the same guest."""
        origin = b"1     10.0.0.1"
        self.assertEqual(parse_guest(32, origin, IDENTITY, STATS, 100), GUEST)
        spaced = (IDENTITY.replace(b"\n", b" "), STATS.replace(b"\n", b" "))
        self.assertEqual(parse_guest(32, origin + b"\n", *spaced, 100), GUEST)

    def test_a_missing_value_is_an_error_that_names_it(self) -> None:
        """A half-written file gives no half-true guest."""
        for origin, identity, stats, word in (
            (b"", IDENTITY, STATS, "from"), (b"1", IDENTITY, STATS, "from"),
            (b"x y", IDENTITY, STATS, "from"), (b"1 a", IDENTITY[:24], STATS, "pgrp"),
            (b"1 a", IDENTITY[:-21], STATS, "command"), (b"1 a", IDENTITY, b"", "state"),
            (b"1 a", IDENTITY, STATS.replace(b"rss=11", b"rss="), "rss"),
        ):  # fmt: skip
            with self.assertRaises(SourceUnavailable) as caught:
                parse_guest(32, origin, identity, stats, 100)
            self.assertIn(word, str(caught.exception))


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_a_value_or_one_error(first: bytes, second: bytes, third: bytes) -> None:
    """No file of a forged tree makes a traceback."""
    for parse in (
        lambda: parse_number(first, "x"),
        lambda: parse_own_id(first),
        lambda: parse_guest(1, first, second, third, 100),
        lambda: parse_guest(1, b"1 a", IDENTITY[:40] + second, STATS[:40] + third, 100),
    ):
        try:
            parse()
        except SourceUnavailable:
            pass
