"""
Eight hosts in namespaces, a real daemon on each: nodes come, leave, die, are cut off, and answer for others.

The hosts are made once. Each test begins with all of them up and whole, whatever the one before did.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from libgomd.keys import new_key_file
from tests.integration import hosts
from tests.integration.daemon import PATIENCE, TWISTD
from tests.integration.hosts import PORT, Host, Network
from tests.integration.line import Reply

pytestmark = pytest.mark.skipif(bool(hosts.missing()), reason=hosts.missing())

T = TypeVar("T")
EVERYBODY = frozenset(range(1, hosts.MOST + 1))
#: The loader puts the directory of this machine's libraries for $LIB.
_FAKETIME = "/usr/$LIB/faketime/libfaketime.so.1"
#: Users whom every Debian has.
NOBODY, OTHER = "nobody", "daemon"


def eventually(check: Callable[[], T]) -> T:
    """Return what ``check`` gives as soon as that is true; fail when it never is."""
    end = time.monotonic() + PATIENCE
    while not (found := check()):
        assert time.monotonic() < end, f"still {found!r} after {PATIENCE:g} s"
        time.sleep(0.05)
    return found


def ask(host: Host, request: str, as_json: bool = False) -> Reply:
    """Ask the daemon of a host, as root there."""
    with host.daemon.connect_unix() as line:
        if as_json:
            line.ask("format json")
        return line.ask(request)


def up(host: Host) -> frozenset[int]:
    """Return the nodes that are up, as a host sees it."""
    return frozenset(row["id"] for row in ask(host, "nodes", as_json=True).rows if row["up"])


def events(host: Host, node: int, kind: str = "") -> list[dict[str, Any]]:
    """Return what a host has to tell of a node."""
    rows = ask(host, "events", as_json=True).rows
    return [row for row in rows if row["node"] == node and kind in ("", row["kind"])]


def counters(host: Host) -> dict[str, Any]:
    """Return the counters of a host, and under ``meaning NAME`` what they say they are."""
    rows = ask(host, "stats", as_json=True).rows
    return {row["name"]: row["value"] for row in rows} | {
        f"meaning {row['name']}": row["meaning"] for row in rows
    }


def start(some: Sequence[Host]) -> None:
    """Start the daemons of some hosts, all at once."""
    with ThreadPoolExecutor(len(some)) as pool:
        list(pool.map(Host.start, some))


def see(some: Sequence[Host], nodes: frozenset[int]) -> None:
    """Wait until all these hosts see these nodes up and no others."""
    for host in some:
        eventually(lambda host=host: up(host) == nodes)  # type: ignore[misc]


def without(network: Network, *gone: Host) -> list[Host]:
    """Return the other hosts."""
    return [host for host in network.hosts if host not in gone]


@pytest.fixture(scope="module")
def made() -> Iterator[Network]:
    """Eight hosts with one key. Their files are where every user gets at them."""
    home = Path(tempfile.mkdtemp(prefix="gomd-hosts-"))
    try:
        new_key_file(str(home / "key"))
        with Network(home) as network:
            for _ in EVERYBODY:
                network.add(home / "key")
            yield network
    finally:
        shutil.rmtree(home)


@pytest.fixture
def cluster(made: Network) -> Network:
    """The hosts, up and whole."""
    made.heal()
    stopped = [host for host in made.hosts if not host.daemon.runs]
    if stopped:
        start(stopped)
    see(made.hosts, EVERYBODY)
    return made


def test_nodes_join_while_the_others_work(made: Network) -> None:
    """Five nodes come one after the other while `@all load` is asked: no answer fails, all see all."""
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
    for number in (7, 2, 1):
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


def sleeper(host: Host, user: str = "root") -> tuple[subprocess.Popen[str], int]:
    """Start a process on a host; return it and the pid it has there."""
    process = host.popen("setpriv", f"--reuid={user}", "--clear-groups", "--", "sleep", "300")
    inside = Path(f"/proc/{eventually(lambda: hosts.children_of(process.pid))[0]}")
    eventually(lambda: (inside / "comm").read_text() == "sleep\n")
    [pids] = [line for line in (inside / "status").read_text().splitlines() if line.startswith("NSpid:")]
    return process, int(pids.split()[-1])


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


_CALLS = """
import socket, ssl, sys
from libgomd.certificates import node_credentials
from libgomd.derivation import read_keys

key_file, certificate = sys.argv[1:3]
own = node_credentials(read_keys([key_file]), 8, "h8")
with open(certificate, "wb") as file:
    file.write(own.certificate_pem)
    file.write(own.key_pem)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.load_cert_chain(certificate)
try:
    with context.wrap_socket(socket.create_connection(("10.77.0.1", 5428), 10)) as stream:
        print(stream.recv(1000))
except OSError as error:
    print(type(error).__name__)
"""


def test_a_host_with_another_key_is_no_member(cluster: Network, tmp_path: Path) -> None:
    """It sees nobody and nobody sees it; its datagrams are counted with its address, its streams refused."""
    stranger, first = cluster.hosts[7], cluster.hosts[0]
    right, wrong = str(stranger.key_file), str(tmp_path / "key")
    new_key_file(wrong)
    caller = (sys.executable, "-c", _CALLS)
    assert "220 gomd" in stranger.run(*caller, right, str(tmp_path / "right.pem"))
    stranger.daemon.stop()
    stranger.ini(key_file=wrong)
    try:
        see(without(cluster, stranger), EVERYBODY - {8})
        before = counters(first).get("datagrams_dropped_unknown-key", 0)
        stranger.start()
        eventually(lambda: counters(first).get("datagrams_dropped_unknown-key", 0) > before + 2)
        assert up(stranger) == {8}
        assert up(first) == EVERYBODY - {8}
        assert counters(first)["meaning datagrams_worst_1"] == "dropped from 10.77.0.8"
        assert "220" not in stranger.run(*caller, wrong, str(tmp_path / "wrong.pem"))
        assert ask(stranger, "@1 load").code == 404
    finally:
        stranger.ini(key_file=right)
        stranger.daemon.stop()


def test_a_key_is_changed_while_everybody_works(cluster: Network) -> None:
    """Both keys, then the new one first, then it alone, each by SIGHUP: nobody is called down."""
    old = str(cluster.hosts[0].key_file)
    new = str(Path(old).with_name("key2"))
    new_key_file(new)
    before = {host: len(ask(host, "events", as_json=True).rows) for host in cluster.hosts}
    for keys in (f"{old}, {new}", f"{new}, {old}", new):
        for host in cluster.hosts:
            said = len(host.daemon.lines)
            host.daemon.configure(host.ini(key_file=keys))
            host.daemon.signal(signal.SIGHUP)
            host.daemon.wait_for("read again, changed: peers.key_file", said)
        loads = ask(cluster.hosts[0], "@all load").block or []
        assert [line.partition(": ")[2].isdigit() for line in loads] == [True] * len(EVERYBODY), loads
    heard = {host: counters(host)["membership_received"] for host in cluster.hosts}
    for host in cluster.hosts:
        host.key_file = Path(new)
        eventually(lambda host=host: counters(host)["membership_received"] > heard[host] + 20)  # type: ignore[misc]
        assert up(host) == EVERYBODY
        assert len(ask(host, "events", as_json=True).rows) == before[host]


def as_user(host: Host, user: str, request: str) -> str:
    """Return what the daemon of a host says to a user of it."""
    socket = str(host.home / "gomd.sock")
    said = host.run("nc", "-U", "-N", socket, text=f"{request}\r\nquit\r\n", user=user)
    return said.splitlines()[1]


@pytest.mark.skipif(shutil.which("nc") is None, reason="nc (netcat-openbsd) is not installed")
def test_what_a_user_may_do_travels_with_him(cluster: Network) -> None:
    """He ends his own process on another node; another user's and root's he may not."""
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


def test_without_a_key_no_address_but_loopback(cluster: Network) -> None:
    """The start is refused with the sentence that says what to do."""
    host = cluster.hosts[0]
    options = (
        "--state-dir",
        str(host.home / "other"),
        "--peers",
        f"{host.address}:5999",
        "--telnet",
        "unix:",
    )
    refused = subprocess.run(
        host.command((TWISTD, "-n", "--pidfile=", "gomd", *options), "/"),
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert refused.returncode != 0
    assert "gom key new" in refused.stderr + refused.stdout
    assert "10.77.0.1" in refused.stderr + refused.stdout


def of_clocks(host: Host, node: int) -> list[tuple[str, str]]:
    """Return the names and reasons of what a host has to tell of the clock of a node."""
    found = events(host, node, "suspect")
    return [(event["name"], event["reason"]) for event in found if "clock" in event["reason"]]


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


@pytest.mark.skipif(
    not list(Path("/usr").glob("lib*/**/faketime/libfaketime.so.1")), reason="libfaketime is not installed"
)
def test_a_clock_that_is_five_minutes_off_is_reported_on_both_sides(cluster: Network) -> None:
    """Neither side drops the other one silently: both name it, in an event and in the log."""
    wrong, first = cluster.hosts[7], cluster.hosts[0]
    wrong.daemon.stop()
    see(without(cluster, wrong), EVERYBODY - {8})
    wrong.daemon.under = ("env", f"LD_PRELOAD={_FAKETIME}", "DONT_FAKE_MONOTONIC=1", "FAKETIME=+300s")
    try:
        wrong.start()
        [(name, reason)] = eventually(lambda: of_clocks(first, 8))
        assert (name, "300 s ahead of ours" in reason) == ("h8", True), reason
        [(name, reason)] = eventually(lambda: of_clocks(wrong, 1))
        assert (name, "300 s behind ours" in reason) == ("h1", True), reason
        first.daemon.wait_for("the clock of node 8 h8 is .300 s from ours")
        wrong.daemon.wait_for("the clock of node 1 h1 is -300 s from ours")
        assert up(first) == EVERYBODY - {8}
        assert up(wrong) == {8}
    finally:
        wrong.daemon.under = ()
        wrong.daemon.kill()


_FLOODS = """
import os, random, socket, sys, time
from libgomd.blocking_peer import BlockingPeer
from libgomd.derivation import key_ring, read_keys
from libgomd.wire.datagrams import Sealer
from libgomd.wire.messages import Question

key, address, count = sys.argv[1], (sys.argv[2], 5428), int(sys.argv[3])
random.seed(3)
sealer = Sealer(key_ring(read_keys([key])), 0, 1, os.urandom)
good = sealer.seal(Question(1, "/proc/loadavg"), int(time.time() * 1000))
kinds = [
    lambda: random.randbytes(random.randrange(1400)),
    lambda: b"gomd\\x01" + random.randbytes(random.randrange(1300)),
    lambda: good[: random.randrange(len(good))],
    lambda: good,
    lambda: good[:60] + bytes([good[60] ^ random.randrange(1, 256)]) + good[61:],
]
flood = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
with BlockingPeer(key) as peer:
    for number in range(count):
        flood.sendto(kinds[number % len(kinds)](), address)
        if number % 200 == 0:
            peer.summary(f"{address[0]}:{address[1]}")  # so far it has read all, and it answers
    print(peer.summary(f"{address[0]}:{address[1]}").name)
"""
_FLOOD = 20_000


def test_a_flood_of_junk_is_counted_and_changes_nothing(cluster: Network) -> None:
    """20,000 random, cut, changed and repeated datagrams: counted by kind and sender, memory as before."""
    target, sender = cluster.hosts[0], cluster.hosts[1]
    before, size, said = counters(target), target.daemon.rss(), len(target.daemon.lines)
    known = len(ask(target, "events", as_json=True).rows)
    name = sender.run(sys.executable, "-c", _FLOODS, str(target.key_file), target.address, str(_FLOOD))
    assert name == "h1\n"
    after = counters(target)
    dropped = {
        kind: after[f"datagrams_dropped_{kind}"] - before.get(f"datagrams_dropped_{kind}", 0)
        for kind in ("foreign", "unknown-key", "broken-seal", "replayed", "oversized")
    }
    assert all(dropped.values()), dropped
    assert _FLOOD * 0.99 < sum(dropped.values()) < _FLOOD, dropped
    assert after["meaning datagrams_worst_1"] == "dropped from 10.77.0.2"
    assert target.daemon.rss() < size + 8 * 1024 * 1024
    assert target.daemon.lines[said:] == []
    assert up(target) == EVERYBODY
    assert len(ask(target, "events", as_json=True).rows) == known
