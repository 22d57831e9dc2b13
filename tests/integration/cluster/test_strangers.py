"""Eight hosts: another key, keys that change, no key, a wrong clock, a flood of junk."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from libgomd.keys import new_key_file
from tests.integration.cluster.asking import (
    EVERYBODY,
    ask,
    counters,
    events,
    eventually,
    see,
    up,
    without,
)
from tests.integration.daemon import PATIENCE, TWISTD
from tests.integration.hosts import Host, Network

#: The loader puts the directory of this machine's libraries for $LIB.
_FAKETIME = "/usr/$LIB/faketime/libfaketime.so.1"


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
        assert name == "h8"
        assert re.match(r"its clock is (29|30)\d s ahead of ours", reason), reason
        [(name, reason)] = eventually(lambda: of_clocks(wrong, 1))
        assert name == "h1"
        assert re.match(r"its clock is (29|30)\d s behind ours", reason), reason
        first.daemon.wait_for(r"the clock of node 8 h8 is \+(29|30)\d s from ours")
        wrong.daemon.wait_for(r"the clock of node 1 h1 is -(29|30)\d s from ours")
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
