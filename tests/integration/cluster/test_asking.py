"""Eight hosts: each answers for every other one, to whoever may ask there."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

from tests.integration.cluster.asking import (
    EVERYBODY,
    ask,
    counters,
    eventually,
    sleeper,
    up,
)
from tests.integration.daemon import PATIENCE
from tests.integration.hosts import PORT, Host, Network
from tests.integration.line import Reply

#: Users whom every Debian has.
NOBODY, OTHER = "nobody", "daemon"


def test_any_node_answers_for_any_other(cluster: Network) -> None:
    """`@all` comes in the order of the nodes, a node is asked by id or name, and each tells its own."""
    first, fifth = cluster.hosts[0], cluster.hosts[4]
    for host in (first, fifth):
        loads = ask(host, "@all load")
        assert loads.block is not None
        assert [int(line.partition(": ")[0]) for line in loads.block] == sorted(EVERYBODY)
        assert all(line.partition(": ")[2].isdigit() for line in loads.block), loads
    inits = ask(first, "@all ps 1", as_json=True).rows
    assert [(row["from"], row["pid"], row["command"]) for row in inits] == [
        (number, 1, "cat") for number in sorted(EVERYBODY)
    ]
    assert ask(first, "@h5 get /proc/sys/kernel/hostname").code == 403
    assert (ask(first, "@h5 get /proc/hpc/nodes/5/cpus").block or [])[0].isdigit()
    assert (ask(first, "@5 get /proc/loadavg").block or [""])[0].count(" ") == 4
    process, pid = sleeper(fifth)
    try:
        assert ask(first, f"where {pid} 5") == Reply(200, "5")
        assert ask(first, f"where {pid} h5") == Reply(200, "5")
        assert ask(first, "where 4000000 5").code == 404
        [row] = ask(first, f"@5 ps {pid}", as_json=True).rows
        assert (row["node"], row["command"]) == (5, "sleep 300")
    finally:
        process.kill()
        process.wait()


def test_questions_to_a_node_share_a_stream(cluster: Network) -> None:
    """Of one caller, in one format, while they come soon; a daemon that restarted is asked, too."""
    first, second, third = cluster.hosts[0], cluster.hosts[1], cluster.hosts[2]
    with first.daemon.connect_unix() as line:
        before = counters(second)["handshakes_done"]
        for _ in range(20):
            assert line.ask("@2 load").code == 200
            assert line.ask("@2 ps 1").block
        assert counters(second)["handshakes_done"] - before < 10
        assert line.ask("@3 load").code == 200
        third.daemon.stop()
        third.daemon.start()
        eventually(lambda: up(first) == EVERYBODY and up(third) == EVERYBODY)
        assert line.ask("@3 load").code == 200


_ASKS = """
import json, sys
from libgomd.blocking_peer import BlockingPeer
from libgomd.errors import NotAllowed, NotFound
from libgomd.peer import open_peer
from twisted.internet.defer import Deferred
from twisted.internet.task import react

key, address, pid = sys.argv[1], sys.argv[2], int(sys.argv[3])
found = {}
with BlockingPeer(key) as peer:
    found["where"] = peer.get_cur_node(address, pid)
    found["load"] = peer.read(address, "/proc/hpc/nodes/5/load").decode()
    found["name"] = peer.summary(address).name
    for name, path in (("none", "/proc/4000000/where"), ("forbidden", "/proc/kcore")):
        try:
            peer.read(address, path)
        except (NotFound, NotAllowed) as error:
            found[name] = error.code

async def main(reactor):
    peer = open_peer(reactor, key)
    found["twisted where"] = await peer.get_cur_node(address, pid)
    await peer.close()

def run(reactor):
    return Deferred.fromCoroutine(main(reactor)).addCallback(lambda _: print(json.dumps(found)))

react(run)
"""


def test_a_plain_program_asks_where_a_process_runs(cluster: Network) -> None:
    """getCurNode from a Python program on another host, blocking and with Twisted."""
    process, pid = sleeper(cluster.hosts[4])
    try:
        said = cluster.hosts[0].run(
            sys.executable, "-c", _ASKS, str(cluster.hosts[0].key_file), f"10.77.0.5:{PORT}", str(pid)
        )
    finally:
        process.kill()
        process.wait()
    found = json.loads(said)
    assert found.pop("load").strip().isdigit()
    assert found == {"where": 5, "name": "h5", "none": 404, "forbidden": 403, "twisted where": 5}


def as_user(host: Host, user: str, request: str) -> str:
    """Return what the daemon of a host says to a user of it."""
    socket = str(host.home / "gomd.sock")
    said = host.run("nc", "-U", "-N", socket, text=f"{request}\r\nquit\r\n", user=user)
    return said.splitlines()[1]


@pytest.mark.skipif(shutil.which("nc") is None, reason="nc (netcat-openbsd) is not installed")
def test_what_a_user_may_do_travels_with_them(cluster: Network) -> None:
    """They end their own process on another node; another user's and root's they may not."""
    here, there = cluster.hosts[1], cluster.hosts[2]
    process, pid = sleeper(there, NOBODY)
    try:
        assert as_user(here, NOBODY, "whoami").startswith(f"200 user {NOBODY} ")
        assert as_user(here, NOBODY, "@3 whoami").startswith(f"200 user {NOBODY} via node 2")
        assert as_user(here, NOBODY, "@3 signal 1 TERM").startswith("403 ")
        assert as_user(here, OTHER, f"@3 signal {pid} TERM").startswith("403 ")
        assert as_user(here, NOBODY, "@3 stay").startswith("403 ")
        assert process.poll() is None
        assert as_user(here, NOBODY, f"@3 signal {pid} TERM").startswith("200 ")
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()
