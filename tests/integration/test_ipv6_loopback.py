"""One daemon with both loopback addresses: the telnet line, http, `gom` and sealed questions at ::1."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from libgomd.blocking_peer import BlockingPeer
from libgomd.errors import PeerUnreachable
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import GOM, free_port
from tests.integration.line import Line
from tests.integration.web import Web

#: Asks by the Twisted library, at both addresses.
TWISTED = """
import sys
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from libgomd.peer import open_peer

async def main(reactor, key, *places):
    peer = open_peer(reactor, key)
    for place in places:
        print((await peer.summary(place)).id, (await peer.read(place, "/proc/loadavg")).decode().count("."))
    await peer.close()

react(lambda reactor, *words: Deferred.fromCoroutine(main(reactor, *words)), sys.argv[1:])
"""


@pytest.fixture(scope="module")
def port() -> int:
    """The port of the peers, at both addresses."""
    return free_port()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Daemon]:
    """A daemon at 127.0.0.1 and ::1, whose telnet line and http are at ::1 alone."""
    options = ("--node-id", "7", "--name", "alpha", "--telnet", "tcp:[::1]:0", "--http", "tcp:[::1]:0")
    peers = ("--set", f"peers.port={port}", "--set", "peers.address=127.0.0.1,::1")
    with Daemon(tmp_path_factory.mktemp("gomd"), *options, *peers) as running:
        yield running


def test_the_telnet_line_and_gom(daemon: Daemon) -> None:
    """Both write the endpoint with brackets."""
    with Line(("::1", daemon.port)) as line:
        assert line.ask("load").code == 200
        line.ask("format json")
        [row] = line.ask("nodes").rows
    assert (row["address"], row["addresses"]) == ("127.0.0.1", ["127.0.0.1", "::1"])
    done = subprocess.run(
        [*GOM, "-c", f"tcp:[::1]:{daemon.port}", "whoami"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_http(daemon: Daemon) -> None:
    """The Host of a browser is an address in brackets; its page may ask, and no page of another address."""
    place = f"[::1]:{Web(daemon).port}"

    def ask(**headers: str) -> int:
        request = urllib.request.Request(f"http://{place}/api/v1/nodes", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                assert json.load(answer)["rows"][0]["id"] == 7
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    assert ask() == ask(Host=place) == ask(Origin=f"http://{place}") == ask(Host="localhost") == 200
    assert ask(Origin="http://[::2]:1") == 403
    assert ask(Host="alpha.attacker.example") == 421


def test_sealed_questions(daemon: Daemon, port: int) -> None:
    """By both Python libraries, at either address, and by a name that has both."""
    key = str(daemon.state / "key")
    with BlockingPeer(key) as peer:
        for place in (f"127.0.0.1:{port}", f"[::1]:{port}", f"localhost:{port}"):
            assert peer.summary(place).id == 7
        assert peer.summary(f"[::1]:{port}").address == "127.0.0.1"
        with pytest.raises(PeerUnreachable, match="is not known"):
            peer.summary("host.invalid")
    places = (f"127.0.0.1:{port}", f"[::1]:{port}")
    done = subprocess.run(
        [sys.executable, "-c", TWISTED, key, *places],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("7 3\n7 3\n", 0), done.stderr


def test_two_daemons_with_the_other_family(daemon: Daemon, tmp_path: Path, port: int) -> None:
    """One that has ::1 alone joins by that, and they ask each other."""
    key = str(daemon.state / "key")
    options = (
        "--node-id",
        "8",
        "--name",
        "beta",
        "--peers",
        f"[::1]:{free_port()}",
        "--seeds",
        f"[::1]:{port}",
    )
    with Daemon(tmp_path / "beta", *options, "--key-file", key) as other:
        other.wait_for("gomd .* is node 8 beta")
        with other.connect() as line:
            line.ask("format json")
            for _ in range(100):
                rows = line.ask("nodes").rows
                if [row["up"] for row in rows] == [True, True]:
                    break
                line.ask("watch -n 0.1 -c 1 load")
            assert [(row["id"], row["address"]) for row in rows] == [(7, "::1"), (8, "::1")]
            assert line.ask("@7 load").code == 200
        with Line(("::1", daemon.port)) as line:
            assert line.ask("@8 load").code == 200
