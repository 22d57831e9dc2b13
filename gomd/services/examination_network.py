"""Looks at the interfaces by which other nodes reach this one, for the verb `doctor`. Blocks briefly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from gomd.sources.interface_mtu import InterfaceMtu, mtu_of
from libgomd.model import Finding, FindingState
from libgomd.wire.addresses import is_loopback
from libgomd.wire.text import printable

GOOD, WARN, BAD = FindingState
#: Bytes that a link must carry at once: a datagram of gomd's with its headers. IPv6 requires more of it.
LEAST_MTU: Final = 1280


def interfaces(
    addresses: Iterable[str], look: Callable[[str], InterfaceMtu | None] = mtu_of
) -> Iterator[Finding]:
    """
    Yield a finding about the MTU of each address; nothing for loopback, and where the kernel does not tell.

    `gom doctor` compares the values of nodes in one network, which stands in the text before the comma.
    """
    for address in addresses:
        if is_loopback(address):
            continue
        try:
            found = look(address)
        except OSError:
            continue
        if found is None:
            continue
        name = printable(found.name)
        if found.mtu < LEAST_MTU:
            yield Finding(
                "mtu", BAD, f"the MTU of {name} is {found.mtu}: datagrams of 1200 bytes do not pass whole",
                f"ip link set dev {name} mtu 1500", found.mtu,
            )  # fmt: skip
        elif found.network:
            yield Finding("mtu", GOOD, f"MTU {found.mtu} in {found.network}, of {name}", "", found.mtu)
