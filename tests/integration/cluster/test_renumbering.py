"""
A network gets other addresses under a running cluster: a new IPv6 prefix, or another IPv4 network.

The router announces the new prefix, then calls the old one deprecated, then withdraws it; an IPv4 lease ends
and the next one is of another network. Both kinds of daemons are tried: those that follow their default route
(`address = ::`) and those with an address of their own, which a person has to change.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

import pytest

from tests.integration.cluster.asking import ask, counters, events, eventually, see, start
from tests.integration.families import add_addresses, network_of, remove_address
from tests.integration.hosts import Host
from tests.integration.migration.moving import Job
from tests.integration.serf.room import needed

ALL = frozenset({1, 2, 3})
#: Writes a line whenever it gets USR1.
PROGRAM = ("sh", "-c", "trap 'echo usr1' USR1; echo up; while :; do sleep 0.05; done")

Network = Callable[[Host], str]


def old_prefix(host: Host) -> str:
    """Return the address of a host before, in IPv6."""
    return f"fd77::{host.number}"


def new_prefix(host: Host) -> str:
    """Return the address of a host afterwards, in IPv6."""
    return f"fd78::{host.number}"


def old_network(host: Host) -> str:
    """Return the address of a host before, in IPv4."""
    return f"10.77.0.{host.number}"


def new_network(host: Host) -> str:
    """Return the address of a host afterwards, in IPv4."""
    return f"10.78.0.{host.number}"


def deprecate(host: Host, address: str) -> None:
    """Have the kernel use an IPv6 address for nothing new."""
    host.run("ip", "addr", "change", f"{address}/64", "dev", "eth0", "preferred_lft", "0")


def shown(host: Host) -> dict[int, str]:
    """Return the address of each node that is up, as a host sees it."""
    return {row["id"]: row["address"] for row in ask(host, "nodes", as_json=True).rows if row["up"]}


def are_at(some: Sequence[Host], where: Network) -> None:
    """Wait until all these hosts see each other, each at its address of a network."""
    wanted = {host.number: where(host) for host in some}
    for host in some:
        eventually(lambda host=host: shown(host) == wanted)  # type: ignore[misc]


def begin(home: Host, node: int) -> Job:
    """Start `PROGRAM` from a home on another node, and wait until it may be sent signals."""
    job = Job(home, "-n", str(node), *PROGRAM)
    eventually(lambda: job.out == b"up\n")
    return job


def write(job: Job, times: int) -> None:
    """Have a job write a line, and see it come to whoever has started it."""
    assert ask(job.home, f"signal {job.pid} USR1").code == 200
    eventually(lambda: job.out == b"up\n" + b"usr1\n" * times)


def withdraw(some: Sequence[Host], where: Network) -> None:
    """Take the old addresses from all these hosts."""
    for host in some:
        remove_address(host, where(host))


def announce(some: Sequence[Host], where: Network) -> None:
    """Give all these hosts new addresses."""
    for host in some:
        add_addresses(host, where(host))


def usable(engine: str) -> None:
    """Skip a test where an engine is not installed."""
    if engine == "serf":
        needed()
    elif engine == "swim":
        pytest.importorskip("kinship", reason="kinship is for Python 3.11 and later")


class Names:
    """The names of all hosts, in a file that each of them has as its /etc/hosts."""

    def __init__(self, some: Sequence[Host]) -> None:
        self._hosts = some
        self._file = some[0].home.parent / "hosts"
        self._file.write_text("")
        for host in some:
            host.run("mount", "--bind", str(self._file), "/etc/hosts")

    def are_at(self, where: Network) -> str:
        """Let the names mean other addresses; return the seeds."""
        lines = [f"{where(host)} {host.name}.test\n" for host in self._hosts]
        self._file.write_text("127.0.0.1 localhost\n" + "".join(lines))
        return ", ".join(f"{host.name}.test:5428" for host in self._hosts)


@pytest.mark.parametrize("engine", ["heartbeat", "serf", "swim"])
def test_daemons_that_follow_their_prefix(engine: str) -> None:
    """
    With `address = ::` nobody is called down: the old prefix is deprecated, then withdrawn.

    A job that runs on another node goes on, and its output comes, also what it writes after the withdrawal.
    Without multicast, and the seeds are names.
    """
    usable(engine)
    with network_of("6", "6", "6", engine=engine, discovery="no") as found:
        names = Names(found)
        seeds = names.are_at(old_prefix)
        for host in found:
            host.ini(address="::", seeds=seeds)
        start(found)
        are_at(found, old_prefix)
        home = found[0]
        job = begin(home, 2)
        write(job, 1)
        announce(found, new_prefix)
        names.are_at(new_prefix)
        for host in found:
            deprecate(host, old_prefix(host))
        are_at(found, new_prefix)
        for host in found:
            said = f"its address is {new_prefix(host)} on eth0 now, it was {old_prefix(host)}"
            assert [row["reason"] for row in events(host, host.number, "up")] == [said]
        write(job, 2)
        withdraw(found, old_prefix)
        eventually(lambda: counters(home)["streams_dead"] == 1)
        write(job, 3)
        are_at(found, new_prefix)
        for host in found:
            kinds = {row["kind"] for node in ALL for row in events(host, node)}
            assert kinds <= {"join", "up", "started"} | ({"leave"} if engine == "swim" else set())
        assert ask(found[2], "@2 load").code == 200


@pytest.mark.parametrize(
    ("family", "old", "new"), [("6", old_prefix, new_prefix), ("4", old_network, new_network)]
)
def test_daemons_with_an_address_of_their_own(family: str, old: Network, new: Network) -> None:
    """
    The old addresses are gone at once. Each daemon says what to do, its log and `node`, too; after that was
    done, a restart with the new address, the cluster is back, and the job has run on.
    """
    with network_of(family, family, family) as found:
        start(found)
        are_at(found, old)
        home = found[0]
        job = begin(home, 2)
        write(job, 1)
        for host in found:
            remove_address(host, old(host))
            add_addresses(host, new(host))
        for host in found:
            said = f"its address {old(host)} is on no interface any more (there is {new(host)} on eth0"
            host.daemon.wait_for(re.escape(said))
            host.daemon.wait_for(re.escape("set [peers] address to another one, or to "))
            assert "no other node can reach it" in ask(host, "node").text
            host.ini(address=new(host))
        for host in found:
            host.daemon.stop()
        start(found)
        are_at(found, new)
        write(job, 2)
        assert job.row()["state"] == "running"
        assert ask(home, f"kill {job.number}").code == 200
        job.wait()


def test_an_ipv4_lease_of_another_network() -> None:
    """With `address = 0.0.0.0` and multicast all nodes are back by themselves, though all moved at once."""
    with network_of("4", "4", "4") as found:
        for host in found:
            host.ini(address="0.0.0.0")
        start(found)
        are_at(found, old_network)
        job = begin(found[0], 2)
        for host in found:
            remove_address(host, old_network(host))
            add_addresses(host, new_network(host))
        are_at(found, new_network)
        write(job, 1)


def test_only_the_other_end_moves() -> None:
    """
    The stream to a node whose address has gone is given up when nothing arrives over it; no byte is lost.
    """
    with network_of("4", "4") as found:
        home, other = found
        other.ini(address="0.0.0.0")
        start(found)
        see(found, frozenset({1, 2}))
        job = Job(home, "-n", "2", "cat")
        job.write(b"before\n")
        eventually(lambda: job.out == b"before\n")
        remove_address(other, old_network(other))
        add_addresses(other, "10.77.0.22")
        eventually(lambda: shown(home)[2] == "10.77.0.22")
        job.write(b"afterwards\n")
        eventually(lambda: job.out == b"before\nafterwards\n")
        assert counters(home)["streams_dead"] == 1
        job.close()
        assert job.wait() == 0


def test_one_node_of_swim_moves_again_and_again() -> None:
    """It is back before jobs on it count as lost, each time, and nobody takes it for two."""
    usable("swim")
    with network_of("4", "4", "4", engine="swim", seeds="10.77.0.1:5428") as found:
        other = found[1]
        other.ini(address="0.0.0.0")
        start(found)
        see(found, ALL)
        address = old_network(other)
        for number in (21, 22, 23):
            remove_address(other, address)
            address = f"10.77.0.{number}"
            add_addresses(other, address)
            began = time.monotonic()
            for host in found:
                eventually(lambda host=host: shown(host).get(2) == address)  # type: ignore[misc] # noqa: B023
            see(found, ALL)
            assert time.monotonic() - began < 15.0
        reasons = [row["reason"] for row in events(found[0], 2)]
        assert not [reason for reason in reasons if "two daemons" in reason]


def test_a_prefix_beside_an_ipv4_address() -> None:
    """A node with both is reached by IPv4 meanwhile, and its new IPv6 address is known afterwards."""
    with network_of(("4", "6"), ("4", "6"), ("4", "6")) as found:
        for host in found:
            host.ini(address=f"{old_network(host)}, ::")
        start(found)
        job = begin(found[0], 2)

        def both(where: Network) -> bool:
            wanted = {host.number: [old_network(host), where(host)] for host in found}
            rows = [ask(host, "nodes", as_json=True).rows for host in found]
            return all({row["id"]: row["addresses"] for row in seen} == wanted for seen in rows)

        eventually(lambda: both(old_prefix))
        for host in found:
            remove_address(host, old_prefix(host))
            add_addresses(host, new_prefix(host))
        eventually(lambda: both(new_prefix))
        write(job, 1)
        assert {row["kind"] for host in found for node in ALL for row in events(host, node)} <= {
            "join", "up", "started", "suspect"
        }  # fmt: skip
