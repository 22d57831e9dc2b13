"""The peers' stream port, as strangers meet it: nothing but TLS, and never more of it than is good."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from gomd.protocols.handshakes import HANDSHAKE_TIMEOUT, MAX_HANDSHAKES, MAX_HANDSHAKES_PER_ADDRESS
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import Pair, gom, jobs, until
from tests.integration.member import Member
from tests.integration.test_keys import counts

Two = tuple[Daemon, Daemon]
JOB = b'{"argv": ["/bin/sleep", "1000"], "cwd": "/", "env": {}}'
BODY = b"behalf admin 0 root text\r\nrun\r\n" + JOB
STRANGERS = {
    "curl": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY),
    "a proxy": b"CONNECT x:1 HTTP/1.1\r\n\r\n" + BODY,
    "another daemon without a key": BODY,
    "a person": b"\r\nload\r\n" + BODY,
    "telnet's options": b"\xff\xfd\x18" + BODY,
    "ssh": b"SSH-2.0-x\r\n" + BODY,
    "an old TLS": b"\x80\x2e\x01\x00\x02" + BODY,
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Two daemons of one cluster."""
    with Pair(tmp_path_factory.mktemp("pair")) as nodes:
        yield nodes


def stream_port(daemon: Daemon) -> tuple[str, int]:
    """Return where a daemon of a `Pair` takes streams."""
    [port] = [word.partition("=")[2] for word in daemon._options if word.startswith("peers.port=")]
    return "127.0.0.1", int(port)


def all_of(connection: socket.socket) -> bytes:
    """Return what comes until the other end hangs up, politely or not."""
    connection.settimeout(PATIENCE)
    found = b""
    try:
        while data := connection.recv(4096):
            found += data
    except ConnectionResetError:
        pass
    return found


def is_open(connection: socket.socket) -> bool:
    """Whether the other end has not hung up."""
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


@pytest.mark.parametrize("who", STRANGERS)
def test_what_is_not_tls_is_hung_up_on(pair: Two, who: str) -> None:
    """At its first bytes, without a word; it is counted, and what stands behind is never read."""
    before = counts(pair[0])
    with socket.create_connection(stream_port(pair[0])) as stranger:
        began = time.monotonic()
        stranger.sendall(STRANGERS[who])
        assert all_of(stranger) == b""
        assert time.monotonic() - began < HANDSHAKE_TIMEOUT / 2
    after = counts(pair[0])
    assert after["handshakes_strange"] == before["handshakes_strange"] + 1
    assert after["jobs_started"] == before["jobs_started"]
    assert [row for row in jobs(pair[0]) if row["state"] == "running"] == []


def member(daemon: Daemon, directory: Path) -> Member:
    """Return a stream of a program that has the key of a `Pair`."""
    options = daemon._options
    return Member(options[options.index("--key-file") + 1], stream_port(daemon)[1], directory)


@pytest.mark.parametrize(
    "first",
    [b"load\r\n", b"run\r\n", b"\r\n", b"behalf\r\n", b"behalf god 0 root text\r\n", b"@1 load\r\n",
     b"GET /proc/loadavg HTTP/1.1\r\n", b"behalf user 99 root text\r\n"],
)  # fmt: skip
def test_who_does_not_say_first_whom_it_speaks_for_is_hung_up_on(
    pair: Two, tmp_path: Path, first: bytes
) -> None:
    """With the key too: one refusal, and what follows in the same packet is not read."""
    with member(pair[0], tmp_path) as stream:
        stream.send(first + b"behalf admin 0 root text\r\nrun\r\n" + JOB)
        answer = stream.rest()
    assert answer[:1] == b"4"
    assert answer.count(b"\r\n") == 1
    assert [row for row in jobs(pair[0]) if row["state"] == "running"] == []


def test_daemons_speak_for_whom_they_say(pair: Two, tmp_path: Path) -> None:
    """The same program, when it says so: this is what the key gives."""
    with member(pair[0], tmp_path) as stream:
        stream.send(b"behalf read - - text\r\nload\r\nstay\r\nwhoami\r\n")
        answers = stream.lines(4)
    assert [line[:3] for line in answers] == [b"200", b"200", b"403", b"200"]
    assert b"via node 2" in answers[-1]


def test_four_thousand_silent_connections_disturb_nobody(pair: Two) -> None:
    """Verbs of root's, of people and between daemons go on; few of the connections stay, not for long."""
    address = stream_port(pair[0])
    most = min(4200, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most + 200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(address, PATIENCE)) for _ in range(most)]
        half = [stack.enter_context(socket.create_connection(address, PATIENCE)) for _ in range(20)]
        for each in half:
            each.sendall(b"\x16\x03\x01\x02\x00\x01")
        for words in (("load",), ("@2", "load"), ("run", "-n", "2", "true")):
            assert gom(pair[0], *words).returncode == 0
        for words in (("load",), ("@1", "load"), ("run", "-n", "1", "true")):
            assert gom(pair[1], *words).returncode == 0
        until(lambda: sum(map(is_open, (*silent, *half))) <= MAX_HANDSHAKES_PER_ADDRESS)
        until(lambda: counts(pair[0])["handshakes_now"] == 0, HANDSHAKE_TIMEOUT + PATIENCE)
        until(lambda: not any(map(is_open, (*silent, *half))))


def test_many_addresses_have_places_for_few(pair: Two) -> None:
    """Eight for each, 256 in all; a daemon gets in beside them."""
    with ExitStack() as stack:
        silent = [
            stack.enter_context(
                socket.create_connection(stream_port(pair[0]), PATIENCE, (f"127.9.{number % 50}.1", 0))
            )
            for number in range(600)
        ]
        assert gom(pair[1], "@1", "load").returncode == 0
        until(lambda: sum(map(is_open, silent)) <= MAX_HANDSHAKES)
        assert counts(pair[0])["handshakes_now"] <= MAX_HANDSHAKES


def test_a_hundred_requests_at_once_from_one_daemon(pair: Two) -> None:
    """More than an address has places: they take turns, and every one is answered."""
    before = counts(pair[0])["handshakes_done"]

    def ask(_number: int) -> int:
        with pair[1].connect_unix() as line:
            return line.ask("@1 help load").code  # a verb whose requests get a stream each

    with ThreadPoolExecutor(100) as pool:
        assert set(pool.map(ask, range(100))) == {201}
    assert counts(pair[0])["handshakes_done"] >= before + 100
    started = gom(pair[1], "run", "-n", "1", "true")
    assert started.returncode == 0
