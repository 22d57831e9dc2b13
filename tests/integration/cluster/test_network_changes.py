"""The network changes under a running daemon: addresses go, move and return, interfaces too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from libgomd.keys import new_key_file
from tests.integration import hosts
from tests.integration.cluster.asking import ask, counters, events, eventually, see, start, up
from tests.integration.hosts import Host, Network

ALL = frozenset({1, 2, 3})


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Three hosts with one key whose network may be changed at will. Their daemons run."""
    if reason := hosts.missing():
        pytest.skip(reason)
    home = tmp_path_factory.mktemp("net")
    new_key_file(str(home / "key"))
    with Network(home) as network:
        for _ in ALL:
            network.add(home / "key")
        start(network.hosts)
        yield network


def told(host: Host, word: str) -> list[str]:
    """Return what a host has to say of its own network, as far as ``word`` is in it."""
    return [event["reason"] for event in events(host, host.node) if word in event["reason"]]


def memberships(host: Host) -> dict[str, list[str]]:
    """Return the interfaces of a host with the multicast groups they hear, as the kernel writes them."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in host.run("cat", "/proc/net/igmp").splitlines()[1:]:
        words = line.split()
        if line[0].isdigit():
            name = words[1]
            found[name] = []
        else:
            found[name].append(words[0])
    return found


def _patiently(check: Callable[[], object]) -> None:
    """Wait for what may take as long as an address that is not asked any more is remembered."""
    with suppress(AssertionError):
        eventually(check)
        return
    eventually(check)


GROUP = "0100C0EF"  # 239.192.0.1


def node_text(host: Host) -> str:
    """Return the first line of `node`, which says when the others cannot reach it."""
    return ask(host, "node").text


def test_an_address_that_another_one_replaces(trio: Network) -> None:
    """
    A lease ends: the node says so by event, log, `node` and `stats`, once, and goes on; it is called down.

    It says that it cannot send, too, and all is well again when the address is back.
    """
    moving, others = trio.hosts[2], trio.hosts[:2]
    see(trio.hosts, ALL)
    lines = len(moving.daemon.lines)
    moving.ip([f"addr del {moving.address}/24 dev eth0", "addr add 10.77.0.203/24 dev eth0"])
    try:
        [reason] = eventually(lambda: told(moving, "is on no interface any more"))
        assert "10.77.0.203 on eth0" in reason
        assert "[peers] address" in reason
        moving.daemon.wait_for("10.77.0.3 is on no interface any more", lines)
        assert "no other node can reach it" in node_text(moving)
        assert counters(moving)["address_lost"] == 1
        see(others, ALL - {3})
        eventually(lambda: told(moving, "cannot be sent"))
        assert counters(moving)["datagrams_unsent"] > 0
        assert ask(moving, "load").code == 200
    finally:
        moving.ip(["addr del 10.77.0.203/24 dev eth0", f"addr add {moving.address}/24 dev eth0"])
    see(trio.hosts, ALL)
    eventually(lambda: told(moving, "can reach it again"))  # the others may see it before it looks
    _patiently(lambda: told(moving, "can be sent again"))
    assert node_text(moving) == "node 3 h3"
    assert counters(moving)["address_lost"] == 0
    for once in ("is on no interface any more", "can reach it again"):
        assert len(told(moving, once)) == 1


def test_an_interface_that_is_down_for_a_while(trio: Network) -> None:
    """Both sides call each other down; the one whose interface it was says why. Up again, all join again."""
    moving, others = trio.hosts[1], [trio.hosts[0], trio.hosts[2]]
    see(trio.hosts, ALL)
    moving.ip(["link set eth0 down"])
    try:
        eventually(lambda: told(moving, "eth0, which has its address 10.77.0.2, is down"))
        see([moving], frozenset({2}))
        see(others, ALL - {2})
        eventually(lambda: told(moving, "heard no other one"))
    finally:
        moving.ip(["link set eth0 up", "route replace default dev eth0"])
    see(trio.hosts, ALL)
    assert GROUP in memberships(moving)["eth0"]
    eventually(lambda: told(moving, "hears other nodes again"))


def test_a_cable_that_is_pulled(trio: Network) -> None:
    """The interface is up and has no carrier: the same."""
    moving = trio.hosts[1]
    see(trio.hosts, ALL)
    before = len(told(moving, "is down"))
    hosts._ip(trio._lan.init, [f"link set {moving.name} down"])
    try:
        eventually(lambda: len(told(moving, "is down")) == before + 1)
    finally:
        hosts._ip(trio._lan.init, [f"link set {moving.name} up"])
    see(trio.hosts, ALL)


def test_an_interface_that_is_made_anew(trio: Network) -> None:
    """A card is changed, or a container's network: the membership in the group has gone with the old one."""
    moving = trio.hosts[1]
    see(trio.hosts, ALL)
    before = counters(moving)["membership_received"]
    hosts._ip(trio._lan.init, [f"link del {moving.name}"])
    see([moving], frozenset({2}))
    assert GROUP not in memberships(moving).get("lo", [])
    hosts._ip(trio._lan.init, [f"link add {moving.name} type veth peer name eth0 netns {moving.init}"])
    moving.connect()
    trio.join(moving)
    see(trio.hosts, ALL)
    eventually(lambda: GROUP in memberships(moving)["eth0"])
    # By multicast again: nobody sends it its heartbeats directly.
    eventually(lambda: counters(moving)["membership_received"] > before + 5)
    [row] = [row for row in ask(trio.hosts[0], "nodes", as_json=True).rows if row["id"] == 2]
    assert row["up"]


def test_an_address_that_moves_to_another_interface(trio: Network) -> None:
    """Into a bond or a bridge: nobody is called down for it, and the group is heard there."""
    moving = trio.hosts[2]
    see(trio.hosts, ALL)
    moving.ip([
        "link add br0 type bridge forward_delay 0 stp_state 0", "link set br0 up",
        f"addr del {moving.address}/24 dev eth0", f"addr add {moving.address}/24 dev br0",
        "link set eth0 master br0", "route replace default dev br0",
    ])  # fmt: skip
    try:
        eventually(lambda: GROUP in memberships(moving)["br0"])
        see(trio.hosts, ALL)
        eventually(lambda: GROUP not in memberships(moving)["eth0"])
        assert node_text(moving) == "node 3 h3"
    finally:
        moving.ip(["link del br0", f"addr add {moving.address}/24 dev eth0"])
        moving.ip(["route replace default dev eth0"])
    see(trio.hosts, ALL)
    eventually(lambda: GROUP in memberships(moving)["eth0"])


def test_all_addresses_are_followed(trio: Network) -> None:
    """With `address = 0.0.0.0` the primary address is told as the node's own, and changes with it."""
    moving, others = trio.hosts[2], trio.hosts[:2]
    moving.daemon.stop()
    moving.ini(address="0.0.0.0")
    moving.start()

    def addresses(host: Host) -> Any:
        return [row["address"] for row in ask(host, "nodes", as_json=True).rows if row["id"] == 3]

    try:
        see(trio.hosts, ALL)
        assert addresses(moving) == ["10.77.0.3"]
        moving.ip([f"addr del {moving.address}/24 dev eth0", "addr add 10.77.0.203/24 dev eth0",
                   "route replace default dev eth0"])  # fmt: skip
        eventually(lambda: told(moving, "its address is 10.77.0.203 on eth0 now, it was 10.77.0.3"))
        for host in trio.hosts:
            eventually(lambda host=host: addresses(host) == ["10.77.0.203"])  # type: ignore[misc]
        see(trio.hosts, ALL)
        assert ask(others[0], "@3 load").code == 200
        assert ask(moving, "@1 load").code == 200
    finally:
        moving.daemon.stop()
        moving.ip(["addr del 10.77.0.203/24 dev eth0", f"addr add {moving.address}/24 dev eth0",
                   "route replace default dev eth0"])  # fmt: skip
        moving.ini(address=moving.address)
        moving.start()
    see(trio.hosts, ALL)
    assert up(moving) == ALL
