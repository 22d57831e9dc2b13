"""Daemons without a configured key: a private one each, and no way in for anybody who does not have it."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from libgomd.blocking_peer import BlockingPeer
from libgomd.errors import ConfigError, TimedOut
from libgomd.keys import new_key_file
from libgomd.wallclock import wall_clock
from libgomd.wire.bodies import encode_body
from libgomd.wire.datagrams import Sealer
from libgomd.wire.messages import Datagram, Heartbeat, Leave, Message, Probe, Question
from libgomd.wire.sealing import DatagramKey, KeyRing
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import Daemon, run
from tests.integration.hosts import Network, missing
from tests.integration.jobs import free_port, gom, jobs, until
from tests.integration.member import Member

NOBODY = pwd.getpwnam("nobody")


class StrangersDaemon(Daemon):
    """
    The daemon of a user who has nothing to do with the first one's: nobody's, where the tests run as root.

    It may read what a Python under /root needs, and that is all that it has of root.
    """

    def __init__(self, home: Path, *options: str, ini: str = "") -> None:
        super().__init__(home, *options, ini=ini)
        if os.geteuid() == 0:
            os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)

    def command(self) -> Sequence[str]:
        """What starts it."""
        if os.geteuid() != 0:
            return super().command()
        read = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
        who = (f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups", *read)
        return ("setpriv", *who, "--", *super().command())


def counts(daemon: Daemon) -> dict[str, int]:
    """Return what a daemon counted, by name."""
    with daemon.connect_unix() as line:
        line.ask("format json")
        return {row["name"]: row["value"] for row in line.ask("stats").rows}


def dropped(daemon: Daemon) -> int:
    """Return how many datagrams with another key it has heard."""
    return counts(daemon).get("datagrams_dropped_unknown-key", 0)


def members(daemon: Daemon) -> list[tuple[int, bool]]:
    """Return the nodes that a daemon knows, and whether they are up."""
    with daemon.connect_unix() as line:
        line.ask("format json")
        return [(row["id"], row["up"]) for row in line.ask("nodes").rows]


@pytest.fixture
def ports() -> tuple[int, int]:
    """Return two free ports."""
    return free_port(), free_port()


@pytest.fixture
def two(ports: tuple[int, int], tmp_path: Path) -> Iterator[tuple[Daemon, Daemon]]:
    """A daemon without a key, and a stranger's that boasts of its speed; each is the other's seed."""
    seeds = "--seeds", ",".join(f"127.0.0.1:{port}" for port in ports)
    victim = Daemon(tmp_path / "victim", "--node-id", "1", "--set", f"peers.port={ports[0]}", *seeds)
    stranger = StrangersDaemon(
        tmp_path / "stranger", "--node-id", "2", "--name", "stranger", "--set", f"peers.port={ports[1]}",
        "--set", "node.speed=65535", *seeds,
    )  # fmt: skip
    with victim, stranger:
        yield victim, stranger


def test_a_strangers_daemon_is_no_member(two: tuple[Daemon, Daemon]) -> None:
    """It is heard and dropped on both sides, as long as it tries; it gets no job and answers for nobody."""
    victim, stranger = two
    for daemon in two:
        until(lambda daemon=daemon: dropped(daemon) >= 5)  # type: ignore[misc]
    assert [members(daemon) for daemon in two] == [[(1, True)], [(2, True)]]
    with victim.connect_unix() as line:
        assert line.ask("load 2").code == 404
        assert line.ask("@2 load").code == 404
        assert not any(" 2 " in text for text in line.ask("events").block or ())
        assert line.ask("@all load").block is not None
    for options in ((), ("-b",), ("--mem", "1M")):
        ran = gom(victim, "run", *options, "printenv", "SECRET", env={"SECRET": "mine"})
        assert (ran.returncode, ran.stdout) == (0, b"mine\n")
    assert [row["node"] for row in jobs(victim)] == [1, 1, 1]
    assert gom(victim, "run", "-n", "2", "true").returncode == 1
    assert jobs(stranger) == []
    assert counts(stranger)["handshakes_done"] == 0


def test_what_is_not_sealed_with_its_key_is_not_believed(
    two: tuple[Daemon, Daemon], ports: tuple[int, int]
) -> None:
    """In the clear, as once on loopback, or with another key: dropped, counted, not answered."""
    victim, _stranger = two
    now = int(wall_clock() * 1000)
    beat = Heartbeat(
        0, ports[1], ports[1], 7, 0, 1, 65535, 64, 6400, 10**12, 10**12, 10**12, True, "stranger", "127.0.0.1"
    )
    messages: tuple[tuple[int, Message], ...] = (
        (2, beat), (2, Leave(0)), (1, Leave(0)), (0, Probe(7)), (0, Question(8, "/proc/hpc/nodes/1/load")),
    )  # fmt: skip
    sealer = Sealer(KeyRing([DatagramKey(b"stranger", bytes(32))]), 2, now, os.urandom)
    packets = [b"gomd\x01" + bytes(8) + encode_body(Datagram(who, now, now, at, message), 0)
               for at, (who, message) in enumerate(messages, 1)]  # fmt: skip
    packets += [sealer.seal(message, now) for who, message in messages if who == 2]
    before = dropped(victim)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.connect(("127.0.0.1", ports[0]))
        for packet in packets:
            wire.send(packet)
        until(lambda: dropped(victim) >= before + len(packets))
        wire.setblocking(False)
        with pytest.raises(BlockingIOError):
            wire.recv(2000)
    assert members(victim) == [(1, True)]
    assert counts(victim)["questions_received"] == 0


def test_connections_that_are_gone_at_once_start_nothing(
    two: tuple[Daemon, Daemon], ports: tuple[int, int]
) -> None:
    """A hundred that say they are root's and close: their rows in the kernel's table tell nothing."""
    victim, _stranger = two
    job = b'behalf admin 0 root text\r\nrun\r\n{"argv": ["/bin/true"]}\r\n'
    code = (
        "import socket, sys\n"
        "for _ in range(100):\n"
        "    with socket.create_connection(('127.0.0.1', int(sys.argv[1]))) as wire:\n"
        f"        wire.sendall({job!r})\n"
    )
    command = [sys.executable, "-c", code, str(ports[0])]
    if os.geteuid() == 0:
        read = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
        command = ["setpriv", f"--reuid={NOBODY.pw_uid}", "--clear-groups", *read, "--", *command]
    assert os.spawnvp(os.P_WAIT, command[0], command) == 0
    until(lambda: counts(victim)["handshakes_failed"] == 100)
    found = counts(victim)
    assert (found["handshakes_done"], found["jobs_started"], found["telnet_requests"] > 0) == (0, 0, True)
    assert jobs(victim) == []


def test_it_keeps_the_key_it_made(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Of mode 0600 and its own, the same after a restart; a damaged one refuses the start and stays."""
    daemon = start_daemon()
    daemon.wait_for(r"no \[peers\] key_file: the peers' port 127\.0\.0\.1:\d+ is for this machine only")
    key = daemon.state / "key"
    assert (key.stat().st_mode & 0o7777, key.stat().st_uid) == (0o600, os.geteuid())
    secret = key.read_bytes()
    daemon.stop()
    daemon.start()
    assert key.read_bytes() == secret
    daemon.stop()
    for damaged in (True, False):
        key.unlink()
        if damaged:
            key.write_bytes(b"damaged\n")
            key.chmod(0o600)
        else:
            key.symlink_to("/dev/null")
        outcome = run(tmp_path, "--state-dir", str(daemon.state), "--telnet", "tcp:127.0.0.1:0")
        assert outcome.returncode == 1
        [sentence] = outcome.stderr.splitlines()
        assert str(key) in sentence
        assert ("move it away" if damaged else "remove it") in sentence
    assert os.readlink(key) == "/dev/null"


def test_open_to_the_network_it_needs_a_key_file(tmp_path: Path) -> None:
    """The key it would make for itself is none that other machines have."""
    for check in (("--check",), ()):
        options = ("--set", "peers.address=10.1.2.3", "--state-dir", str(tmp_path / "state"))
        outcome = run(tmp_path, *check, *options)
        assert outcome.returncode == 1
        [sentence] = outcome.stderr.splitlines()
        assert "key_file" in sentence
    assert not (tmp_path / "state").exists()


def test_the_key_in_state_is_a_key_as_any_other(ports: tuple[int, int], tmp_path: Path) -> None:
    """Programs of the daemon's user ask with it, a second daemon joins with it; nobody with another."""
    first = Daemon(tmp_path / "first", "--node-id", "1", "--set", f"peers.port={ports[0]}")
    with first:
        key = str(first.state / "key")
        address = f"127.0.0.1:{ports[0]}"
        with BlockingPeer(key) as peer:
            assert peer.summary(address).id == 1
            assert peer.get_cur_node(address, first.process.pid) == 1
        other = tmp_path / "other"
        new_key_file(str(other))
        with BlockingPeer(str(other)) as peer, pytest.raises(TimedOut):
            peer.summary(address)
        with pytest.raises(ConfigError, match="key file"):
            BlockingPeer()
        second = Daemon(
            tmp_path / "second", "--node-id", "2", "--set", f"peers.port={ports[1]}", "--seeds", address,
            "--key-file", key,
        )  # fmt: skip
        with second:
            for daemon in (first, second):
                until(lambda daemon=daemon: members(daemon) == [(1, True), (2, True)])  # type: ignore[misc]
            ran = gom(first, "run", "-n", "2", "sh", "-c", "echo here; exit 3")
            assert (ran.returncode, ran.stdout) == (3, b"here\n")
            assert not (second.state / "key").exists()


def _ups(daemon: Daemon) -> list[bool]:
    return sorted((up for _, up in members(daemon)), reverse=True)


def test_a_key_file_may_come_and_go_while_it_runs(ports: tuple[int, int], tmp_path: Path) -> None:
    """At SIGHUP: with the same key file two daemons find each other, without it each is alone."""
    shared = tmp_path / "shared"
    new_key_file(str(shared))
    seeds = ",".join(f"127.0.0.1:{port}" for port in ports)
    nodes = [
        Daemon(
            tmp_path / f"node{number}", "--node-id", str(number), "--set", f"peers.port={port}",
            "--seeds", seeds, "--set", "peers.heartbeat=0.2",
        )
        for number, port in enumerate(ports, 1)
    ]  # fmt: skip
    with nodes[0], nodes[1]:
        for daemon in nodes:
            until(lambda daemon=daemon: dropped(daemon))  # type: ignore[misc]
            assert len(members(daemon)) == 1
        for configured, known in ((f"[peers]\nkey_file = {shared}\n", [True, True]), ("", [True, False])):
            for daemon in nodes:
                said = len(daemon.lines)
                (daemon.home / "gomd.ini").write_text(configured)
                daemon.signal(signal.SIGHUP)
                daemon.wait_for("configuration read again, changed: peers.key_file", said)
            for daemon in nodes:
                until(lambda daemon=daemon, known=known: _ups(daemon) == known)  # type: ignore[misc]
            if configured:
                assert gom(nodes[0], "@2", "load").returncode == 0
        assert gom(nodes[0], "@2", "load").returncode == 1


def test_who_has_only_a_key_that_is_gone_is_out_at_once(tmp_path: Path) -> None:
    """While both keys are in use a stream goes on; when the old one goes so does what was opened with it."""
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    new_key_file(old)
    new_key_file(new)
    with Daemon(tmp_path / "gomd", ini=f"key_file = {old}\n") as daemon:
        port = int(daemon.wait_for(r"PeerProtocol starting on (\d+)")[1])
        with Member(old, port, tmp_path) as ex, Member(old, port, tmp_path) as silent:
            assert ex.ask("behalf admin 0 root text").startswith(b"200")
            for keys in (f"{new}, {old}", new):
                assert ex.ask("load").startswith(b"200")
                said = len(daemon.lines)
                daemon.configure(f"key_file = {keys}\n")
                daemon.signal(signal.SIGHUP)
                daemon.wait_for("configuration read again, changed: peers.key_file", said)
            assert (ex.rest(), silent.rest()) == (b"", b"")
        with Member(new, port, tmp_path) as member:
            assert member.ask("behalf admin 0 root text").startswith(b"200")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            Member(old, port, tmp_path)


def test_a_taken_default_port_leaves_it_without_peers(tmp_path: Path) -> None:
    """As it ever was: it starts, says so, and answers for itself."""
    if why := missing():
        pytest.skip(why)
    key = tmp_path / "key"
    new_key_file(str(key))
    with Network(tmp_path) as network:
        host = network.add(key)
        code = "import socket; s = socket.create_server(('127.0.0.1', 5428)); print(); input()"
        taken = host.popen(
            sys.executable, "-c", code,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert taken.stdout is not None
        assert taken.stdout.readline() == "\n"
        host.configuration = {}
        host.start()
        host.daemon.wait_for(r"the peers are off: cannot listen at tcp:127\.0\.0\.1:5428")
        with host.daemon.connect_unix() as line:
            assert line.ask("load").code == 200
            assert line.ask("@1 load").code == 200
        assert (host.daemon.state / "key").exists()
        host.daemon.stop()
        taken.communicate("\n")
        host.daemon.start()
        host.daemon.wait_for(r"the peers' port 127\.0\.0\.1:5428 is for this machine only")
