"""A real daemon, and a peer that is put back to a snapshot: what it is sent, and what people are told."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from libgomd.derivation import key_ring, read_keys
from libgomd.keys import new_key_file
from libgomd.wire.datagrams import Sealer, open_sealed
from libgomd.wire.messages import Datagram, Heartbeat, Message, Probe, ProbeAck, ReplayWarning
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import free_port


class ScriptedPeer:
    """
    Node 9, played by the test: it sends heartbeats and answers probes.

    :ivar sealer: numbers and seals what it sends. :ivar heard: what came to it.
    """

    def __init__(self, key_file: Path, daemon_port: int) -> None:
        self._keys = key_ring(read_keys([str(key_file)]))
        self.sealer = Sealer(self._keys, 9, int(time.time() * 1000), os.urandom)  # noqa: TID251
        self.heard: list[Datagram] = []
        self._to = ("127.0.0.1", daemon_port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._port: int = self._socket.getsockname()[1]

    def close(self) -> None:
        self._socket.close()

    def send(self, message: Message) -> None:
        self._socket.sendto(self.sealer.seal(message, int(time.time() * 1000)), self._to)  # noqa: TID251

    def _beat(self) -> Heartbeat:
        return Heartbeat(
            0, self._port, 0, 3, 0, 1, 15000, 1, 100, 1, 1, 1, False, "scripted", "127.0.0.1"
        )  # fmt: skip

    def play(self, until: Callable[[], Any], each: Callable[[Datagram], None] = lambda _: None) -> Any:
        """Be there until ``until`` gives something true, and return that; ``each`` gets what comes."""
        end, beat = time.monotonic() + PATIENCE, 0.0
        while not (found := until()):
            assert time.monotonic() < end, "it never came"
            if time.monotonic() >= beat:
                self.send(self._beat())
                beat = time.monotonic() + 1.0
            self._socket.settimeout(0.1)
            try:
                datagram = open_sealed(self._socket.recv(2048), self._keys).datagram
            except TimeoutError:
                continue
            self.heard.append(datagram)
            if isinstance(datagram.message, Probe):
                self.send(ProbeAck(datagram.message.request_id, 9, self.sealer.instance, 0))
            each(datagram)
        return found

    def newest(self) -> Datagram:
        """Return the last thing that the daemon sent."""
        return self.heard[-1]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Daemon, ScriptedPeer]]:
    """A daemon with a key, and the peer of the test, which it knows."""
    port = free_port()
    new_key_file(str(tmp_path / "key"))
    daemon = Daemon(tmp_path, "--node-id", "1", "--key-file", str(tmp_path / "key"))
    daemon.configure("")
    ini = tmp_path / "gomd.ini"
    ini.write_text(ini.read_text().replace("port = 0", f"port = {port}"))
    with daemon:
        peer = ScriptedPeer(tmp_path / "key", port)
        peer.play(lambda: is_up(daemon) and len(peer.heard) > 2)
        yield daemon, peer
        peer.close()


def rows(daemon: Daemon, verb: str) -> list[dict[str, Any]]:
    with daemon.connect_unix() as line:
        line.ask("format json")
        return line.ask(verb).rows


def is_up(daemon: Daemon) -> bool:
    return any(row["id"] == 9 and row["up"] for row in rows(daemon, "nodes"))


def told(daemon: Daemon, node: int, words: str) -> list[dict[str, Any]]:
    return [row for row in rows(daemon, "events") if row["node"] == node and words in row["reason"]]


def test_a_peer_that_was_put_back_is_told_and_said_to_be_replayed(pair: tuple[Daemon, ScriptedPeer]) -> None:
    """An event names the node; nothing at its old numbers is taken; with new ones it is there at once."""
    daemon, peer = pair
    joins = len([row for row in rows(daemon, "events") if row["node"] == 9 and row["kind"] == "join"])
    peer.sealer.sequence, before = 10_000, len(peer.heard)  # an hour later
    peer.play(lambda: len(peer.heard) > before + 2)
    peer.sealer.sequence = 1
    warnings: list[ReplayWarning] = []

    def keep(datagram: Datagram) -> None:
        if isinstance(datagram.message, ReplayWarning):
            warnings.append(datagram.message)

    peer.play(lambda: warnings, keep)
    assert warnings[0].instance == peer.sealer.instance
    assert warnings[0].sequence == peer.sealer.sequence
    assert warnings[0].highest > warnings[0].sequence
    [event] = told(daemon, 9, "heard, but all of it replayed")
    assert (event["kind"], event["name"]) == ("suspect", "scripted")
    peer.sealer.renumber(int(time.time() * 1000), warnings[0].highest + 1)  # noqa: TID251
    peer.play(lambda: "node 9 sends new datagrams again" in daemon.log and is_up(daemon))
    assert len([row for row in rows(daemon, "events") if row["node"] == 9 and row["kind"] == "join"]) == joins
    assert len(told(daemon, 9, "replayed")) == 1


def test_a_daemon_that_nobody_hears_begins_a_new_numbering(pair: tuple[Daemon, ScriptedPeer]) -> None:
    """Told by a peer that all it sends came before, it leaps, under a new salt, and says so."""
    daemon, peer = pair
    last = peer.newest()
    peer.send(ReplayWarning(last.instance, last.sequence, 10**6, "scripted"))
    peer.play(lambda: peer.newest().sequence > 10**6)
    assert peer.newest().instance == last.instance
    assert peer.newest().sequence >= last.sent_at * 1024
    [event] = told(daemon, 1, "a new numbering")
    assert "scripted" in event["reason"]
    leapt = peer.newest()
    peer.send(ReplayWarning(last.instance, last.sequence, 2**52, "scripted"))  # of before the leap
    peer.play(lambda: peer.newest().sequence > leapt.sequence + 2)
    assert peer.newest().sequence < leapt.sequence + 1000
