"""openMosix's map of nodes."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gomd.cluster.map_file import parse_map
from gomd.cluster.map_ranges import ranges_of
from libgomd.errors import ConfigError
from libgomd.model import Node, Status

HOSTS = {"beta": ("10.0.1.7",), "both": ("10.0.1.8", "fd00::8"), "broken": ("fe80::1",)}


def resolve(host: str) -> tuple[str, ...]:
    try:
        return HOSTS[host]
    except KeyError:
        raise OSError("no such host") from None


def mistakes(text: str) -> list[str]:
    """Return what is wrong with a map, without the name of the file."""
    try:
        parse_map(text, "m", resolve)
    except ConfigError as error:
        return [mistake.removeprefix("m") for mistake in error.mistakes]
    return []


class ParseTests(SynchronousTestCase):
    """Text to nodes."""

    def test_ranges_hosts_aliases_and_comments(self) -> None:
        """A map as openMosix's own tools take it."""
        text = "# MOSIX\n1 10.0.0.1 2\n\n7\tbeta 1 # the file server\n7 192.168.0.7 ALIAS\n1 10.1.0.1 0\n"
        found = parse_map(text, "m", resolve)
        self.assertEqual(
            found.addresses,
            {1: ("10.0.0.1", "10.1.0.1"), 2: ("10.0.0.2",), 7: ("10.0.1.7", "192.168.0.7")},
        )
        self.assertEqual(found.names, {7: "beta"})

    def test_both_families(self) -> None:
        """Ranges and aliases of IPv6, in brackets or not, zones, and hosts that have an address of each
        family."""
        text = "1 fd00::1 2\n3 [fe80::3%eth0] 1\n1 10.0.0.1 ALIAS\n8 both 1\n9 ::ffff:10.0.0.9 1\n"
        found = parse_map(text, "m", resolve)
        self.assertEqual(
            found.addresses,
            {
                1: ("fd00::1", "10.0.0.1"), 2: ("fd00::2",), 3: ("fe80::3%eth0",), 8: ("10.0.1.8", "fd00::8"),
                9: ("10.0.0.9",),
            },
        )  # fmt: skip
        self.assertEqual(found.names, {8: "both"})

    def test_the_last_id_and_the_last_address(self) -> None:
        """The ends of both ranges can be used."""
        found = parse_map("65534 223.255.255.254 2", "m", resolve)
        self.assertEqual(found.addresses[65535], ("223.255.255.255",))

    def test_ports(self) -> None:
        """An address of either family, a range or a host may have the port of its nodes."""
        text = "1 [fd00::1]:6001 2\n3 10.0.0.3:6003 1\n4 beta:6004 1\n3 [fd00::3]:6003 ALIAS\n5 [fd00::5] 1\n"
        found = parse_map(text, "m", resolve)
        self.assertEqual(found.ports, {1: 6001, 2: 6001, 3: 6003, 4: 6004})
        self.assertEqual(found.addresses[2], ("fd00::2",))
        self.assertEqual(found.addresses[3], ("10.0.0.3", "fd00::3"))
        self.assertEqual(found.names, {4: "beta"})

    def test_all_mistakes_are_told_with_their_lines(self) -> None:
        """Every wrong line is listed, not only the first."""
        text = "1 10.0.0.1\n0 10.0.0.1 1\n2 10.0.0.256 1\n3 10.0.0.3 x\n4 nowhere 1\n5 broken 1\n"
        found = mistakes(text)
        self.assertEqual([mistake.split(":")[1] for mistake in found], ["1", "2", "3", "4", "5", "6"])
        self.assertIn("2 fields", found[0])
        self.assertIn("first-id '0'", found[1])
        self.assertIn("10.0.0.256 is no IPv4 address", found[2])
        self.assertIn("count 'x'", found[3])
        self.assertIn("the host nowhere has no address: no such host", found[4])
        self.assertIn("the host broken", found[5])

    def test_what_clashes(self) -> None:
        """Ids or addresses given twice, ranges that go past the end, aliases of nobody."""
        for text, words in (
            ("1 10.0.0.1 5\n3 10.1.0.1 1", "node 3 is in line 1 already"),
            ("1 10.0.0.1 5\n9 10.0.0.5 1", "the address 10.0.0.5 is that of node 5 already"),
            ("1 10.0.0.1 1\n1 10.0.0.1 ALIAS", "the address 10.0.0.1 is that of node 1 already"),
            ("65535 10.0.0.1 2", "end at 65536"),
            ("1 223.255.255.1 99999", "99999"),
            ("1 223.255.255.1 65000", "which no node has"),
            ("4 10.0.0.1 ALIAS", "an alias of node 4"),
            ("1 fd00::1 1\n2 FD00:0::1 1", "the address fd00::1 is that of node 1 already"),
            ("1 feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2", "end at ff00::, which no node has"),
            ("1 fe80::1 1", "such as fe80::1%eth0"),
            ("1 fe80::1%eth0 2", "one line for each"),
            ("1 fd00::1%eth0 1", "no IPv6 address"),
            ("1 224.0.0.1 1", "no address of a single node"),
            ("1 :: 1", "no address of a single node"),
            ("1 0.0.0.0:5428 1", "no address of a single node"),
            ("1 255.255.255.255 1", "no address of a single node"),
            ("1 [ff02::1]:5428 1", "no address of a single node"),
            ("1 223.255.255.255 2", "end at 224.0.0.0, which no node has"),
            ("1 [fd00::1]:0 1", "the port '0'"),
            ("1 [fd00::1]:65536 1", "the port '65536'"),
            ("1 10.0.0.1: 1", "the port ''"),
            ("1 [fd00::1 1", "no IPv6 address"),
            ("1 10.0.0.1:1 1\n1 [fd00::1]:2 ALIAS", "has port 1 above"),
            ("1 both 1\n2 fd00::8 1", "the address fd00::8 is that of node 1 already"),
            ("# nothing", "there is no node in it"),
            ("", "there is no node in it"),
            ("²1 10.0.0.1 1", "first-id"),
        ):
            [mistake] = mistakes(text)
            self.assertIn(words, mistake)

    @given(st.text(max_size=60) | st.text("0123456789. \n#ALIAS", max_size=60))
    def test_any_text_is_a_map_or_a_mistake(self, text: str) -> None:
        """No text makes anything but a map or a list of mistakes."""
        found = mistakes(text)
        self.assertTrue(all(found) if found else parse_map(text, "m", resolve).addresses)


nodes = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 60)),
    max_size=30,
    unique_by=(lambda each: each[0], lambda each: each[1]),
).map(
    lambda pairs: [
        Node(node, f"n{node}", str(IPv4Address("10.0.0.0") + host), Status.CONFIGURED) for node, host in pairs
    ]
)  # fmt: skip


class TextTests(SynchronousTestCase):
    """Nodes to text."""

    def test_neighbours_are_one_range(self) -> None:
        """Nodes whose ids and addresses both follow on each other take one line."""
        listed = [Node(node, "", address, Status.CONFIGURED) for node, address in (
            (5, "10.0.0.5"), (1, "10.0.0.1"), (2, "10.0.0.2"), (3, "10.0.0.9"), (6, "10.0.0.6"))]  # fmt: skip
        self.assertEqual(ranges_of(listed), [(1, "10.0.0.1", 2), (3, "10.0.0.9", 1), (5, "10.0.0.5", 2)])

    def test_addresses_of_both_families(self) -> None:
        """IPv6 addresses follow each other too; the families do not, nor do link-local addresses."""
        listed = [Node(number, "", address, Status.CONFIGURED) for number, address in enumerate(
            ("fd00::1", "fd00::2", "10.0.0.3", "fe80::4%eth0", "fe80::5%eth0"), 1)]  # fmt: skip
        wanted = [(1, "fd00::1", 2), (3, "10.0.0.3", 1), (4, "fe80::4%eth0", 1), (5, "fe80::5%eth0", 1)]
        self.assertEqual(ranges_of(listed), wanted)

    @given(nodes)
    def test_what_is_written_is_read(self, listed: list[Node]) -> None:
        """The map of a cluster, read again, has the same nodes at the same addresses."""
        if listed:
            text = "".join(f"{first} {address} {count}\n" for first, address, count in ranges_of(listed))
            found = parse_map(text, "m", resolve)
            self.assertEqual(found.addresses, {node.id: (node.address,) for node in listed})
