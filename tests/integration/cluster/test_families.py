"""Clusters of hosts with IPv4 only, IPv6 only and both: who sees whom, and what is left when a family
dies."""

from __future__ import annotations

import time

from tests.integration.cluster.asking import ask, counters, events, eventually, see, start, up
from tests.integration.families import add_addresses, ipv4, ipv6, network_of, remove_address
from tests.integration.hosts import Host
from tests.integration.migration.moving import Job
from tests.integration.test_criu import find_criu


def addresses(host: Host) -> dict[int, tuple[str, list[str]]]:
    """Return what a host shows of the addresses of each node."""
    rows = ask(host, "nodes", as_json=True).rows
    return {row["id"]: (row["address"], row["addresses"]) for row in rows}


def test_hosts_of_every_kind() -> None:
    """
    Each sees those that it has a family in common with, and is asked by them; a host with both is one node,
    and its other address is used while one is gone.
    """
    with network_of("4", ("4", "6"), "6", ("4", "6")) as found:
        first, second, third, fourth = found
        start(found)
        see([first], frozenset({1, 2, 4}))
        see([second, fourth], frozenset({1, 2, 3, 4}))
        see([third], frozenset({2, 3, 4}))
        both = {host.number: (ipv4(host), [ipv4(host), ipv6(host)]) for host in (second, fourth)}
        wanted = {1: (ipv4(first), []), 3: (ipv6(third), []), **both}
        for host in (second, fourth):
            eventually(lambda host=host: addresses(host) == wanted)  # type: ignore[misc]
        assert [
            ask(asking, f"@{node} load").code for asking, node in ((first, 2), (third, 4), (second, 3))
        ] == [200] * 3
        table = [line.split()[:3] for line in ask(second, "nodes").block or []]
        assert ["3", "h3", ipv6(third)] in table

        remove_address(fourth, ipv4(fourth))
        eventually(lambda: addresses(second)[4] == (ipv6(fourth), both[4][1]))
        reasons = [row["reason"] for row in events(second, 4, "up")]
        assert f"it is reached at {ipv6(fourth)}: {ipv4(fourth)} is silent" in reasons
        assert ask(second, "@4 load").code == 200
        assert "reach it, by IPv4, its address 10.77.0.4 is on no interface" in ask(fourth, "node").text
        see([first], frozenset({1, 2}))
        assert events(second, 4, "down") == []

        add_addresses(fourth, ipv4(fourth))
        eventually(lambda: addresses(second)[4] == both[4])
        see([first], frozenset({1, 2, 4}))
        assert [len(events(second, 4, kind)) for kind in ("join", "down", "leave")] == [1, 0, 0]
        assert up(third) == {2, 3, 4}


def test_a_trio_without_ipv4() -> None:
    """It finds itself by multicast; a job runs on another node and moves; telnet and http at ::1."""
    more = f"[http]\nendpoint = tcp:[::1]:2980\n[jobs]\ncriu = {find_criu()}\n"
    with network_of("6", "6", "6") as found:
        for host in found:
            host.more = more
        start(found)
        see(found, frozenset({1, 2, 3}))
        home, second, third = found
        job = Job(home, "-n", "2", "sh", "-c", "trap 'echo usr1' USR1; echo up; while :; do sleep 0.05; done")
        eventually(lambda: job.out == b"up\n")
        job.move("3")
        guest = eventually(lambda: job.row()["pid_there"])
        assert ask(third, f"get /proc/hpc/remote/{guest}/from").block == [f"1     {ipv6(home)}"]
        assert ask(home, f"signal {job.pid} USR1").code == 200
        eventually(lambda: job.out == b"up\nusr1\n")
        job.move("home")
        page = "import urllib.request as r; print(r.urlopen('http://[::1]:2980/api/v1/nodes').status)"
        assert second.run("python3", "-c", page) == "200\n"
        assert ask(home, f"kill {job.number}").code == 200
        job.wait()


def test_a_temporary_address_is_never_used() -> None:
    """
    Where the kernel prefers the temporary addresses of RFC 8981, others know a node with `address = ::` by
    its lasting one all the same.
    """
    with network_of("6", "6") as found:
        first, second = found
        second.run("sysctl", "-qw", "net.ipv6.conf.eth0.use_tempaddr=2")
        second.run("ip", "-6", "addr", "del", f"{ipv6(second)}/64", "dev", "eth0")
        second.run("ip", "-6", "addr", "add", f"{ipv6(second)}/64", "dev", "eth0", "mngtmpaddr", "nodad")
        eventually(lambda: "temporary" in second.run("ip", "-6", "addr", "show", "dev", "eth0"))
        second.run("ip", "-6", "route", "replace", "default", "dev", "eth0")
        for host in found:
            host.ini(address="::")
        start(found)
        see(found, frozenset({1, 2}))
        time.sleep(3)
        assert addresses(first)[2] == (ipv6(second), [])
        assert ask(second, "@1 load").code == 200
        assert [row["kind"] for row in events(first, 2)] == ["join"]


def test_without_ipv4_altogether() -> None:
    """
    `0.0.0.0, ::` starts where not even loopback has an IPv4 address, and takes one that comes later.
    """
    with network_of("6", "6") as found:
        first, second = found
        second.run("ip", "-4", "addr", "flush", "dev", "lo")
        for host in found:
            host.ini(address="0.0.0.0, ::")
            host.telnet = f"unix:{host.home / 'gomd.sock'}, unix:"
        start(found)
        see(found, frozenset({1, 2}))
        for host in found:
            add_addresses(host, ipv4(host))
        eventually(lambda: addresses(first)[2] == (ipv4(second), [ipv4(second), ipv6(second)]))


def test_seeds_at_link_local_addresses() -> None:
    """Without multicast and without any other address: a seed is named with its interface."""
    with network_of(("link",), ("link",), ("link",), discovery="no") as found:
        first = found[0].address
        for host in found[1:]:
            host.ini(seeds=f"[{first}]:5428")
        start(found)
        see(found, frozenset({1, 2, 3}))
        assert ask(found[2], "@2 load").code == 200
        assert addresses(found[1])[1] == (first, [])


def test_a_name_with_a_dead_ipv6_address() -> None:
    """
    Both addresses of the name are tried, and it is one node, with the address that answers. Without multicast
    too the other address is used while one is gone.
    """
    with network_of(("4", "6"), ("4", "6"), discovery="no") as found:
        first, second = found
        names = first.home.parent / "hosts"
        names.write_text(f"127.0.0.1 localhost\n{ipv4(first)} alpha.test\nfd77::99 alpha.test\n")
        second.run("mount", "--bind", str(names), "/etc/hosts")
        second.ini(seeds="alpha.test:5428")
        start(found)
        see(found, frozenset({1, 2}))
        both = [ipv4(first), ipv6(first)]
        eventually(lambda: addresses(second)[1] == (ipv4(first), both))
        remove_address(first, ipv4(first))
        eventually(lambda: addresses(second)[1] == (ipv6(first), both))
        add_addresses(first, ipv4(first))
        eventually(lambda: addresses(second)[1] == (ipv4(first), both))
        assert len(events(second, 1, "join")) == 1
        assert len([row for row in events(second, 1) if "it is reached at" in row["reason"]]) == 2
        assert counters(second).get("datagrams_dropped_replayed", 0) == 0
