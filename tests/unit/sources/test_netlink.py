"""What the kernel says of interfaces and addresses: captured messages (Linux 6.18), and any other bytes."""

from __future__ import annotations

import struct
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gomd.sources.addresses import (
    InterfaceAddress,
    best_ipv6,
    parse_interfaces,
    parse_ipv6,
    read_interfaces,
)
from gomd.sources.netlink import Change, MalformedNetlink, What, parse_changes

DATA = Path(__file__).parents[2] / "data" / "netlink"
NAMES = ("link-up", "link-down", "address-given", "address-taken", "link-gone")
WANTED = {
    "link-up": Change(What.LINK, 3, "v0", up=True),
    "link-down": Change(What.LINK, 2, "v1", up=False),
    "address-given": Change(What.ADDRESS, 3, address="10.9.8.7"),
    "address-taken": Change(What.ADDRESS_GONE, 3, address="10.9.8.7"),
    "link-gone": Change(What.LINK_GONE, 3, "v0", up=False),
}


def captured(name: str) -> bytes:
    return bytes.fromhex((DATA / f"{name}.hex").read_text("ascii"))


class NetlinkTests(SynchronousTestCase):
    """Captured and other bytes."""

    def test_what_was_captured(self) -> None:
        """While `ip` made two interfaces, gave one an address, took it again, and removed them."""
        for name, change in WANTED.items():
            self.assertEqual(parse_changes(captured(name)), [change], name)

    def test_several_in_one_datagram(self) -> None:
        """And those of other kinds between them are left out."""
        other = struct.pack("=IHHII", 20, 24, 0, 0, 0) + b"\0" * 4
        data = captured("address-taken") + other + captured("address-given")
        self.assertEqual(parse_changes(data), [WANTED["address-taken"], WANTED["address-given"]])
        self.assertEqual((parse_changes(b""), parse_changes(other)), ([], []))

    def test_an_address_of_another_kind_is_no_change_here(self) -> None:
        """The peers speak IPv4."""
        data = bytearray(captured("address-given"))
        data[16] = 10  # AF_INET6
        self.assertEqual(parse_changes(bytes(data)), [])

    def test_what_is_cut_is_malformed(self) -> None:
        """Wherever it is cut."""
        for name in NAMES:
            whole = captured(name)
            for end in {*range(1, 60), len(whole) - 1}:
                self.assertRaises(MalformedNetlink, parse_changes, whole[:end])

    @given(st.binary(max_size=200), st.sampled_from(NAMES), st.integers(0, 1500))
    def test_any_bytes_give_changes_or_one_error(self, junk: bytes, name: str, at: int) -> None:
        """Alone, behind a message and written over one."""
        whole = captured(name)
        for data in (junk, whole + junk, whole[:at] + junk + whole[at + len(junk) :]):
            try:
                for change in parse_changes(data):
                    self.assertIsInstance(change, Change)
            except MalformedNetlink:
                pass


class AddressesTests(SynchronousTestCase):
    """The list of all addresses."""

    def test_an_answer_of_the_kernel(self) -> None:
        """Each entry is a name and an address; another kind of address is left out."""

        def entry(name: bytes, family: int, address: bytes) -> bytes:
            return name.ljust(16, b"\0") + struct.pack("=HH", family, 0) + address + b"\0" * 16

        data = entry(b"lo", 2, b"\x7f\0\0\1") + entry(b"eth0:1", 2, b"\x0a\1\2\3") + entry(b"x", 10, b"aaaa")
        states = {b"lo": (1, True), b"eth0:1": (4, False)}
        self.assertEqual(
            parse_interfaces(data, states.__getitem__, 40),
            (InterfaceAddress("127.0.0.1", "lo", 1, True), InterfaceAddress("10.1.2.3", "eth0:1", 4, False)),
        )
        self.assertEqual(parse_interfaces(data[:39], states.__getitem__, 40), ())

    def test_this_machine_has_loopback(self) -> None:
        """Read from the kernel that runs the tests."""
        self.assertIn("127.0.0.1", [each.address for each in read_interfaces()])


#: As Linux 6.18 lists them: loopback, a temporary and a lasting address, a tentative, a refused and a
#: link-local one.
IF_INET6 = b"""\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000009 02 40 00 01     eth0
20010db8000000000000000000000002 02 40 00 80     eth0
fd000000000000000000000000000002 02 40 00 c0     eth0
fd000000000000000000000000000003 02 40 00 08     eth0
fe8000000000000000fc00fffe000001 02 40 20 80     eth0
"""


class Ipv6Tests(SynchronousTestCase):
    """The kernel's list of IPv6 addresses."""

    def test_what_the_kernel_lists(self) -> None:
        """Link-local addresses have their zone; one that another machine has is left out."""
        wanted = (
            InterfaceAddress("::1", "lo", 1, False),
            InterfaceAddress("2001:db8::9", "eth0", 2, True, lasting=False),
            InterfaceAddress("2001:db8::2", "eth0", 2, True),
            InterfaceAddress("fd00::2", "eth0", 2, True, tentative=True),
            InterfaceAddress("fe80::fc:ff:fe00:1%eth0", "eth0", 2, True),
        )
        self.assertEqual(parse_ipv6(IF_INET6, lambda name: name == "eth0"), wanted)

    @given(st.binary(max_size=200))
    def test_any_bytes(self, data: bytes) -> None:
        """They are addresses, or left out."""
        for found in parse_ipv6(data, lambda _name: True):
            self.assertIn(":", found.address)

    def test_the_best_address(self) -> None:
        """No temporary one where there is another, and no link-local one; ::1 where there is none."""
        found = parse_ipv6(IF_INET6, lambda _name: True)
        self.assertEqual(best_ipv6(found), "2001:db8::2")
        self.assertEqual(best_ipv6(found[1:2]), "2001:db8::9")
        self.assertEqual(best_ipv6(found[-1:]), "fe80::fc:ff:fe00:1%eth0")
        self.assertEqual(best_ipv6(found[:1]), "::1")
        added = found[-1]._replace(address="fe80::1%eth1", name="eth1", number=3)
        self.assertEqual(best_ipv6([added, found[-1]]), "fe80::fc:ff:fe00:1%eth0")
        self.assertEqual(best_ipv6(parse_ipv6(IF_INET6, lambda _name: False)), "::1")

    def test_an_ipv6_address_that_is_given(self) -> None:
        """RTM_NEWADDR names it in IFA_ADDRESS; there is no IFA_LOCAL."""
        attribute = struct.pack("=HH", 20, 1) + bytes.fromhex("fd000000000000000000000000000002")
        body = struct.pack("=BBBBI", 10, 64, 0, 0, 3) + attribute
        message = struct.pack("=IHHII", 16 + len(body), 20, 0, 0, 0) + body
        self.assertEqual(parse_changes(message), [Change(What.ADDRESS, 3, address="fd00::2")])
