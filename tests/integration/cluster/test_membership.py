"""Eight hosts in namespaces, a real daemon on each: nodes come, leave, die, move, and are cut off."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.integration.cluster.asking import (
    EVERYBODY,
    ask,
    events,
    eventually,
    see,
    start,
    up,
    without,
)
from tests.integration.hosts import Network


def test_nodes_join_while_the_others_work(made: Network) -> None:
    """Five nodes come one after the other while `@all load` is asked: no answer fails, all see all."""
    for host in made.hosts:
        host.daemon.end()
    first, later = made.hosts[:3], made.hosts[3:]
    start(first)
    see(first, frozenset({1, 2, 3}))
    asked = 0
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(start, later)
        while not starting.done():
            reply = ask(first[0], "@all load")
            assert reply.block is not None
            bad = [line for line in reply.block if not line.partition(": ")[2].isdigit()]
            # A node that comes just now has not measured anything yet, and may not listen yet.
            assert not [line for line in bad if int(line.partition(":")[0]) <= len(first)], bad
            asked += 1
        starting.result()
    see(made.hosts, EVERYBODY)
    assert asked
    assert {event["node"] for event in ask(first[1], "events", as_json=True).rows} == EVERYBODY
    assert ask(made.hosts[7], "map").code == 201


def test_a_clean_leave_is_seen_as_one(cluster: Network) -> None:
    """A daemon that is stopped says goodbye: nobody suspects it, everybody has it from itself."""
    leaver = cluster.hosts[7]
    leaver.daemon.stop()
    others = without(cluster, leaver)
    see(others, EVERYBODY - {8})
    for host in others:
        last = events(host, 8)[-1]
        assert (last["kind"], last["name"], last["by"]) == ("leave", "h8", 8)
        assert events(host, 8)[-2]["kind"] in ("join", "up")


def test_a_node_that_is_killed_is_called_down_and_joins_again(cluster: Network) -> None:
    """The event says who found it out and why; the values of the node read -101; a restart is a join."""
    for number in (7, 1):
        victim = cluster.hosts[number - 1]
        others = without(cluster, victim)
        victim.daemon.kill()
        see(others, EVERYBODY - {number})
        for host in others:
            last = events(host, number, "down")[-1]
            assert last["name"] == victim.name
            assert last["by"] in EVERYBODY - {number}
            assert "does not answer" in last["reason"], last
        asked = others[3]
        assert ask(asked, f"status {number}").text.split()[0] == "1"
        assert ask(asked, f"get /proc/hpc/nodes/{number}/load").block == ["-101"]
        assert ask(asked, f"@{number} load").code == 502
        victim.start()
        see(cluster.hosts, EVERYBODY)
        assert events(asked, number)[-1]["kind"] in ("join", "up")


def test_a_network_that_is_cut_in_two_becomes_whole_again(cluster: Network) -> None:
    """Each half calls the other one down, and says why; when the cable is back all see all."""
    left, right = cluster.hosts[:4], cluster.hosts[4:]
    cluster.split(left, right)
    see(left, frozenset({1, 2, 3, 4}))
    see(right, frozenset({5, 6, 7, 8}))
    assert events(left[0], 8, "down")[-1]["by"] in {1, 2, 3, 4}
    assert events(right[0], 1, "down")[-1]["by"] in {5, 6, 7, 8}
    cluster.heal()
    see(cluster.hosts, EVERYBODY)
    one = cluster.hosts[5]
    cluster.cut_off(one)
    see([one], frozenset({6}))
    see(without(cluster, one), EVERYBODY - {6})
    cluster.join(one)
    see(cluster.hosts, EVERYBODY)


def test_a_node_with_another_address_is_found_there(cluster: Network) -> None:
    """A lease ends: the host gets another address while its daemon listens at all of them."""
    moving = cluster.hosts[7]
    moving.daemon.stop()
    old = moving.address
    moving.ini(address="0.0.0.0")
    moving.start()
    see(cluster.hosts, EVERYBODY)
    moving.readdress("10.77.0.108")
    try:
        for host in without(cluster, moving):
            eventually(lambda host=host: "10.77.0.108" in str(ask(host, "nodes").block))  # type: ignore[misc]
        see(cluster.hosts, EVERYBODY)
        assert ask(cluster.hosts[0], "@8 load").code == 200
        assert ask(moving, "@1 load").code == 200
    finally:
        moving.daemon.stop()
        moving.readdress(old)
        moving.ini(address=old)


def test_two_nodes_with_one_id_are_both_told_and_the_first_stays(cluster: Network) -> None:
    """The second one is not taken; both say who uses whose id, and what to do."""
    first, second = cluster.hosts[2], cluster.hosts[7]
    second.daemon.stop()
    second.node = 3
    try:
        see(without(cluster, second), EVERYBODY - {8})
        second.start()
        for host in (first, second, cluster.hosts[0]):
            told = eventually(lambda host=host: events(host, 3, "suspect"))[-1]["reason"]  # type: ignore[misc]
            assert "h3" in told or "10.77.0.3" in told, told
            assert "h8" in told or "10.77.0.8" in told, told
            assert "another [node] id" in told
        for host in without(cluster, second):
            assert up(host) == EVERYBODY - {8}
            [row] = [row for row in ask(host, "nodes", as_json=True).rows if row["id"] == 3]
            assert (row["name"], row["address"]) == ("h3", "10.77.0.3")
        assert ask(cluster.hosts[0], "@3 get /proc/1/comm").block == ["cat"]
    finally:
        second.node = 8
        second.daemon.stop()
