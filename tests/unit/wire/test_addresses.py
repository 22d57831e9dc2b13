"""Addresses as text and as bytes."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libgomd.wire.addresses import (
    for_others,
    is_link_local,
    is_loopback,
    is_one_host,
    network_of,
    pack,
    parse_host,
    shown,
    split,
    unmapped,
    unpack,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("FD00:0::1", "fd00::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::ffff:7f00:1", "127.0.0.1"),
    ],
)
def test_one_form_for_each_address(text: str, found: str) -> None:
    """The form that the kernel shows; an IPv4 address in the form of IPv6 is that IPv4 address."""
    assert str(parse_host(text)) == found
    assert unmapped(text) == (found if text.startswith("::ffff:") else text)


@pytest.mark.parametrize(
    "text",
    ["", "alpha", "010.0.0.1", "10.0.0", "fd00::1%eth0", "fe80::1%", "fe80::1%a/b", "fe80::1%" + "x" * 16,
    "1::2::3",
     "[fd00::1]"],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    """Names, zones where there can be none, and zones that no interface can have."""
    with pytest.raises(ValueError, match=r"."):
        parse_host(text)


def test_what_an_address_is_of() -> None:
    """Loopback in every form, one host or not, link-local or not."""
    assert [is_loopback(each) for each in ("127.1.2.3", "::1", "::ffff:127.0.0.1")] == [True] * 3
    assert [is_loopback(each) for each in ("10.0.0.1", "fd00::1", "::", "localhost")] == [False] * 4
    several = ("239.1.1.1", "255.255.255.255", "0.0.0.0", "0.1.2.3", "::", "ff15::1")
    assert [is_one_host(parse_host(each)) for each in several] == [False] * 6
    assert [is_one_host(parse_host(each)) for each in ("10.0.0.1", "127.0.0.1", "::1", "fe80::1%a")] == [
        True
    ] * 4
    assert [is_link_local(each) for each in ("fe80::1", "fe80::1%a", "169.254.0.1", "fd00::1")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert for_others(["127.0.0.1", "fd00::1"]) == ("fd00::1",)
    assert for_others(["127.0.0.1", "::1"]) == ("127.0.0.1", "::1")


def test_what_limits_count_as_one() -> None:
    """An IPv4 address in either form; the /64 of an IPv6 address, because one caller has all of it."""
    assert network_of("10.0.0.1") == network_of("::ffff:10.0.0.1") == "10.0.0.1"
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::") == "2001:db8:1:2::/64"
    assert network_of("::1") != network_of("::ffff:127.0.0.1")
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert network_of("unix") == "unix"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("alpha", ("alpha", 7)),
        ("alpha:5", ("alpha", 5)),
        ("10.0.0.1:65535", ("10.0.0.1", 65535)),
        ("fd00::1", ("fd00::1", 7)),
        ("[fd00::1]", ("fd00::1", 7)),
        ("[FD00:0::1]:5", ("fd00::1", 5)),
        ("[fe80::1%eth0]:5", ("fe80::1%eth0", 5)),
    ],
)
def test_host_and_port(text: str, found: tuple[str, int]) -> None:
    """An IPv6 address stands in brackets when a port follows."""
    assert split(text, 7) == found
    assert split(shown(*found), 7) == found


@pytest.mark.parametrize(
    "text",
    ["", ":5", "alpha:", "alpha:0", "alpha:65536", "alpha:x", "[fd00::1", "[fd00::1]5", "[alpha]:5", "1:2:3"],
)  # fmt: skip
def test_what_is_no_host_and_port(text: str) -> None:
    """It is said in one sentence."""
    with pytest.raises(ValueError, match=r"address|port|host|permitted|octet|parts"):
        split(text, 7)


@given(st.ip_addresses())
def test_bytes(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """An address is 4 or 16 bytes, and the same address again."""
    packed = pack(str(address))
    assert unpack(packed) == str(parse_host(str(address)))


@given(st.binary(max_size=20))
def test_any_bytes(data: bytes) -> None:
    """They are an address, or are refused."""
    try:
        assert pack(unpack(data)) == data
    except ValueError:
        assert len(data) not in (4, 16) or data.startswith(bytes(10) + b"\xff\xff")
