"""The serf engine on hosts that have IPv6 alone, with agents that gomd runs and with an administrator's."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

from tests.integration.cluster.asking import ask, events, eventually, see, start
from tests.integration.families import ipv4, ipv6, network_of
from tests.integration.hosts import Host
from tests.integration.serf.room import SERF, needed

needed()

ALL = frozenset({1, 2, 3})
#: Ports of an administrator's agent, of gossip and of its RPC.
GOSSIP, RPC = 7946, 7373


def members(host: Host, *reach: str) -> dict[str, dict[str, Any]]:
    """Return what `serf members` says at a host: of each gomd, by its name, its address, status and tags."""
    listed = json.loads(host.run(SERF, "members", "-format=json", *reach))["members"]
    return {each["tags"]["gomd_name"]: each for each in listed if "gomd_name" in each["tags"]}


def reach_of(host: Host) -> Sequence[str]:
    """Return how the agent that a daemon runs is asked."""
    settings = json.loads((host.daemon.state / "serf" / "agent.json").read_text())
    return f"-rpc-addr={settings['rpc_addr']}", f"-rpc-auth={settings['rpc_auth']}"


def test_daemons_with_agents_of_their_own() -> None:
    """They find each other by seeds in brackets; their agents tell IPv6 addresses, in gossip and in tags."""
    with network_of("6", "6", "6", engine="serf", seeds="[fd77::1]:5428, [fd77::2]:5428") as found:
        start(found)
        see(found, ALL)
        first, second, third = found
        seen = members(first, *reach_of(first))
        assert {name: each["addr"] for name, each in seen.items()} == {
            host.name: f"[{ipv6(host)}]:5431" for host in found
        }
        for host in found:
            tags = seen[host.name]["tags"]
            assert (tags["gomd_addr"], tags["gomd_id"]) == (ipv6(host), str(host.number))
        assert ask(first, "@h3 load").code == 200
        rows = ask(third, "nodes", as_json=True).rows
        assert [row["address"] for row in rows] == [ipv6(host) for host in found]

        third.daemon.kill()
        see([first, second], ALL - {3})
        assert events(first, 3)[-1]["kind"] == "down"
        assert second.daemon.stop() in (0, -signal.SIGTERM)
        see([first], frozenset({1}))
        assert events(first, 2)[-1]["reason"] == "left: its Serf agent said goodbye"
        assert "Traceback" not in first.daemon.log


def test_agents_of_the_administrator() -> None:
    """
    Their RPC is at ::1. A node with both addresses has both in its tags; one without IPv4 asks it by IPv6.
    """
    agents = []
    with network_of(("4", "6"), "6", "6", engine="serf", serf_rpc=f"[::1]:{RPC}") as found:
        for host in found:
            join = () if host is found[0] else (f"-join=[{ipv6(found[0])}]:{GOSSIP}",)
            agents.append(
                host.popen(
                    SERF, "agent", f"-node={host.name}", f"-bind=[{ipv6(host)}]:{GOSSIP}",
                    f"-rpc-addr=[::1]:{RPC}", "-tag=role=web", *join,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )
            )  # fmt: skip
            eventually(lambda host=host: host.run(SERF, "info", f"-rpc-addr=[::1]:{RPC}", check=False))  # type: ignore[misc]
        start(found)
        see(found, ALL)
        first, second, _third = found
        tags = members(second, f"-rpc-addr=[::1]:{RPC}")
        assert tags["h1"]["tags"]["gomd_addr"] == f"{ipv4(first)},{ipv6(first)}"
        assert tags["h2"]["tags"] | {"gomd_addr": ipv6(second), "role": "web"} == tags["h2"]["tags"]
        row = ask(second, "nodes", as_json=True).rows[0]
        assert (row["address"], row["addresses"]) == (ipv6(first), [ipv4(first), ipv6(first)])
        assert ask(second, "@1 load").code == 200
        assert second.daemon.stop() in (0, -signal.SIGTERM)
        see([first], ALL - {2})
        assert events(first, 2)[-1]["reason"] == "gomd stopped, its Serf agent goes on"
    for agent in agents:
        agent.wait(30)
