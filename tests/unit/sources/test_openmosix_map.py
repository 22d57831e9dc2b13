"""openMosix's binary node map: records of 24 bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gomd.sources.openmosix.node_map import KernelNodeRange, address_of, decode_map
from libgomd.errors import SourceUnavailable
from tests.unit.sources.captured import captured

#: The example of openmosix.md 3.1, byte by byte: "1 10.0.0.1 2 / 3 10.0.0.3 1".
DOCUMENTED = bytes.fromhex(
    "01000000 0200 0000 0a000001 0000000000000000 02000000"
    "03000000 0200 0000 0a000003 0000000000000000 01000000"
)
RANGES = (KernelNodeRange(1, IPv4Address("10.0.0.1"), 2), KernelNodeRange(3, IPv4Address("10.0.0.3"), 1))

ranges = st.builds(
    KernelNodeRange,
    first=st.integers(1, 30000),
    address=st.integers(0, 2**31).map(IPv4Address),
    count=st.integers(0, 30000),
)


def encode_map(ranges: Iterable[KernelNodeRange]) -> bytes:
    """Return ``ranges`` as openMosix stores them."""
    return b"".join(
        struct.pack("<iHH4s8xi", one.first, 2, 0, one.address.packed, one.count) for one in ranges
    )


class MapTests(SynchronousTestCase):
    def test_the_documented_and_the_captured_map(self) -> None:
        """The bytes in openmosix.md and those of the running system are the map they were made from."""
        self.assertEqual(decode_map(DOCUMENTED), RANGES)
        self.assertEqual(encode_map(RANGES), DOCUMENTED)
        for node in ("node1", "node2"):
            data = (captured(node) / "hpc/admin/config").read_bytes()
            self.assertEqual(data, DOCUMENTED)

    def test_a_range_gives_each_node_the_next_address(self) -> None:
        """`1 10.0.0.255 3` is 10.0.0.255, 10.0.1.0, 10.0.1.1; an id beside it has none."""
        table = [KernelNodeRange(1, IPv4Address("10.0.0.255"), 3)]
        found = [address_of(table, node) for node in range(5)]
        self.assertEqual(found, [None, "10.0.0.255", "10.0.1.0", "10.0.1.1", None])

    def test_an_alias_is_no_node_of_its_own(self) -> None:
        """An ALIAS line, before or behind its node's, never decides the address."""
        alias = KernelNodeRange(2, IPv4Address("192.168.0.2"), 0)
        whole = KernelNodeRange(1, IPv4Address("10.0.0.1"), 2)
        for table in ([alias, whole], [whole, alias]):
            self.assertEqual(address_of(decode_map(encode_map(table)), 2), "10.0.0.2")
        self.assertIsNone(address_of([alias], 2))

    def test_an_unconfigured_map_is_empty(self) -> None:
        """No bytes are no nodes."""
        self.assertEqual(decode_map(b""), ())

    def test_each_prefix_is_whole_records_or_an_error(self) -> None:
        """A map that is cut short is never taken for a shorter one, but at the end of a record."""
        for length in range(len(DOCUMENTED)):
            if length % 24:
                self.assertRaises(SourceUnavailable, decode_map, DOCUMENTED[:length])
            else:
                self.assertEqual(decode_map(DOCUMENTED[:length]), RANGES[: length // 24])

    def test_records_that_cannot_be_are_refused(self) -> None:
        """Another address family, ids beyond 65535 or below 1, negative counts, addresses that wrap."""
        good = DOCUMENTED[:24]
        for bad in (
            good[:4] + b"\x0a\0" + good[6:],
            b"\0\0\0\0" + good[4:],
            b"\xff\xff\xff\xff" + good[4:],
            b"\0\0\1\0" + good[4:],
            good[:20] + b"\xff\xff\xff\xff",
            good[:20] + b"\xff\xff\xff\x7f",
            good[:8] + b"\xff\xff\xff\xff" + good[12:],
        ):
            with self.assertRaises(SourceUnavailable) as caught:
                decode_map(bad)
            self.assertIn("record 1", str(caught.exception))


@given(st.lists(ranges, max_size=20))
def test_what_is_encoded_is_decoded(table: list[KernelNodeRange]) -> None:
    """Any map comes back as it was."""
    assert decode_map(encode_map(table)) == tuple(table)


@given(st.one_of(st.binary(max_size=100), st.binary(min_size=48, max_size=48)))
@example(DOCUMENTED + b"\0")
def test_any_bytes_are_a_map_or_one_error(data: bytes) -> None:
    """Whatever the file holds: a map whose every id is one, or `SourceUnavailable`."""
    try:
        table = decode_map(data)
    except SourceUnavailable:
        return
    for one in table:
        assert 1 <= one.first <= 65535
        assert 0 <= one.count <= 65535
    assert decode_map(encode_map(table)) == table
