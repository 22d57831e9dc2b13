"""Hosts with an IPv4 address, an IPv6 address, or both, at one bridge."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from libgomd.keys import new_key_file
from tests.integration import hosts
from tests.integration.hosts import Host, Network


def ipv4(host: Host) -> str:
    """Return the IPv4 address that a host may have."""
    return f"10.77.0.{host.number}"


def ipv6(host: Host) -> str:
    """Return the IPv6 address that a host may have."""
    return f"fd77::{host.number}"


def link_local(host: Host) -> str:
    """Return the link-local address that the kernel gave a host, with its zone."""
    shown = json.loads(host.run("ip", "-6", "-json", "addr", "show", "dev", "eth0", "scope", "link"))
    return f"{shown[0]['addr_info'][0]['local']}%eth0"


def add_addresses(host: Host, *addresses: str) -> None:
    """Give a host addresses, with a default route by them."""
    for address in addresses:
        wide = f"{address}/64 dev eth0 nodad" if ":" in address else f"{address}/24 dev eth0"
        family = "-6" if ":" in address else "-4"
        host.run("ip", "addr", "add", *wide.split())
        host.run("ip", family, "route", "replace", "default", "dev", "eth0")


def remove_address(host: Host, address: str) -> None:
    """Take an address from a host."""
    host.run("ip", "addr", "del", f"{address}/{64 if ':' in address else 24}", "dev", "eth0")


@contextmanager
def network_of(*addresses: Sequence[str], **peers: str) -> Iterator[list[Host]]:
    """
    Make a host for each of ``addresses``, which it has and is configured with, and nothing else.

    :param addresses: words of which ``4`` and ``6`` stand for its own ones, ``link`` for its link-local one.
    :param peers: settings of [peers] that all hosts have.
    """
    if reason := hosts.missing():
        pytest.skip(reason)
    home = Path(tempfile.mkdtemp(prefix="gomd-families-"))
    try:
        new_key_file(str(home / "key"))
        with Network(home) as network:
            for words in addresses:
                host = network.add(home / "key")
                host.run("ip", "addr", "flush", "dev", "eth0", "scope", "global")
                own = [{"4": ipv4(host), "6": ipv6(host)}.get(word, word) for word in words]
                add_addresses(host, *(each for each in own if each != "link"))
                host.address = ", ".join(link_local(host) if each == "link" else each for each in own)
                host.ini(address=host.address, **peers)
            yield network.hosts
    finally:
        shutil.rmtree(home)
