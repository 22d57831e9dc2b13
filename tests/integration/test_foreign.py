"""Programs that speak another protocol and are led to the telnet line of a real daemon."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.daemon import PATIENCE, Daemon

#: What a request of HTTP does to a daemon that takes its body for requests, as whoever runs this.
BODY = b"setspeed 4711\r\nstay\r\nload\r\nversion\r\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon whose log has its debug messages."""
    with Daemon(tmp_path / "home", ini="[node]\nlog_level = debug\nspeed = 1000\n") as running:
        yield running


def heard(address: tuple[str, int] | str, *packets: bytes) -> bytes:
    """Connect, send, and return all that comes until the daemon hangs up."""
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as connected:
        connected.settimeout(PATIENCE)
        connected.connect(address)
        data = b""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for packet in packets:
                connected.sendall(packet)
            while more := connected.recv(65536):
                data += more
        return data


def unharmed(daemon: Daemon) -> bool:
    """Whether nothing was done that a body asked for."""
    with daemon.connect_unix() as line:
        return line.ask("speed").text == "1000" and line.ask("status").text == "3 up"


def foreign(daemon: Daemon) -> int:
    """Return how many connections the daemon has ended so."""
    with daemon.connect_unix() as line:
        line.ask("format json")
        counters = {row["name"]: row["value"] for row in line.ask("stats").rows}
        return int(counters["telnet_foreign"])


@pytest.mark.parametrize(
    "first",
    [
        b"POST / HTTP/1.1\r\nHost: node\r\nContent-Length: 40\r\n\r\n",
        b"POST /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT node:2901 HTTP/1.1\r\n\r\n",
        b"ANNOUNCE rtsp://node/ RTSP/1.0\r\n\r\n",
        b"MESSAGE sip:node SIP/2.0\r\n\r\n",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 4000 2901\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"EHLO mail.example\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
    ],
    ids=lambda data: data[:8].decode("latin-1").encode("unicode_escape").decode(),
)
def test_nothing_behind_its_first_line_is_done(daemon: Daemon, first: bytes) -> None:
    """Over tcp, and as root over the unix socket; in one packet and cut; the log and `stats` say so."""
    ways: list[tuple[str, int] | str] = [("127.0.0.1", daemon.port), str(daemon.socket)]
    for way in ways:
        for packets in ((first + BODY,), (first, BODY), (first[:7], first[7:] + BODY)):
            said = heard(way, *packets).split(b"\r\n")
            assert [line for line in said if line[:4] not in (b"220 ", b"413 ", b"")] == [], said
    assert unharmed(daemon)
    assert foreign(daemon) == 6
    assert daemon.wait_for(r"hung up on (tcp 127\.0\.0\.1:\d+|unix)")


def test_a_real_client_of_http_and_of_tls(daemon: Daemon) -> None:
    """They end with an error of theirs, at once, and nothing is done."""
    client = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
    with contextlib.suppress(ConnectionError):
        client.request("POST", "/", BODY)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        client.getresponse()
    client.close()
    context = ssl.create_default_context()
    plain = socket.create_connection(("127.0.0.1", daemon.port), PATIENCE)
    with plain, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(plain, server_hostname="localhost")
    assert unharmed(daemon)
    assert daemon.wait_for(r"it speaks HTTP")
    assert daemon.wait_for(r"it speaks TLS")


def test_a_plain_get_stays_a_request(daemon: Daemon) -> None:
    """In capitals too."""
    with daemon.connect() as line:
        assert line.ask("GET /proc/loadavg").code == 201
        assert line.ask("get /proc/uptime").code == 201
    assert foreign(daemon) == 0
