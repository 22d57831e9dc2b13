"""Which addresses of this machine `gom init` proposes."""

from __future__ import annotations

import pytest

from gom.init_options import address
from gom.own_addresses import beside, both_families, default_address, parse_if_inet6, steady_instead

#: As Linux 6.18 shows it: loopback, link-local, set by hand, from a router with privacy extensions, and a
#: bridge of containers. fd00::2 is there for good; of eth0's others one is temporary and one is deprecated.
TABLE = """\
00000000000000000000000000000001 01 80 10 80       lo
fe8000000000000000fc00fffe000001 04 40 20 80     eth0
20010db8000000010000000000000abc 04 40 00 01     eth0
20010db8000000010000000000000def 04 40 00 00     eth0
20010db8000000020000000000000123 04 40 00 20     eth0
fd000000000000000000000000000002 04 40 00 82     eth0
20010db8000000030000000000000001 05 40 00 40     eth1
fdaa0000000000000000000000000001 06 40 00 82  docker0
"""


def test_the_table_of_the_kernel() -> None:
    """What others can rely on: neither temporary, deprecated nor tentative."""
    steady = {each.address for each in parse_if_inet6(TABLE) if each.is_steady}
    assert steady == {"fe80::fc:ff:fe00:1", "2001:db8:0:1::def", "fd00::2", "fdaa::1"}
    assert [each.interface for each in parse_if_inet6(TABLE) if each.is_permanent] == [
        "eth0",
        "eth0",
        "docker0",
    ]


@pytest.mark.parametrize("text", ["", "\n\n", "x", "zz 01 80 10 80 lo", "00 01 80 10 80 lo", "a b c d e f g"])
def test_other_lines_are_left_out(text: str) -> None:
    """A kernel that writes more, or less."""
    assert list(parse_if_inet6(text)) == []


@pytest.mark.parametrize(
    ("interface", "used", "found"),
    [
        ("eth0", "2001:db8:0:1::def", "2001:db8:0:1::def"),  # what the default route uses
        ("eth0", "2001:db8:0:1::abc", "fd00::2"),  # not where that is temporary
        ("eth0", "", "fd00::2"),  # no default route: what was set by hand
        ("eth1", "", ""),  # not yet tried
        ("eth7", "", ""),
    ],
)
def test_the_address_beside_that_of_ipv4(interface: str, used: str, found: str) -> None:
    """It is one of the same interface, never link-local, and lasts."""
    assert beside(interface, list(parse_if_inet6(TABLE)), used) == found


def test_an_address_that_passes_is_replaced_by_one_that_lasts() -> None:
    """As where privacy extensions choose the address of every connection."""
    own = list(parse_if_inet6(TABLE))
    assert steady_instead("2001:db8:0:1::abc", own) == "fd00::2"
    assert steady_instead("fd00::2", own) == "fd00::2"
    assert steady_instead("2001:db8:0:3::1", own) == "2001:db8:0:3::1"


def test_what_is_proposed_is_accepted() -> None:
    """Whatever addresses this machine has; loopback stays alone."""
    assert address(default_address()) == default_address()
    for alone in ("127.0.0.1", "::1", "fe80::1%lo"):
        assert both_families(alone) == alone
