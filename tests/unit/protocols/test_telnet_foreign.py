"""The telnet line hangs up on other protocols, before anything behind their first line is a request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from libgomd.testing import MemoryDaemon
from tests.unit.protocols.talk import Talk, crowded

REQUESTS = (
    b"POST / HTTP/1.1\r\nHost: node\r\nContent-Length: 20\r\n\r\nsetspeed 7\r\nload\r\n",
    b"GET /proc/hpc HTTP/1.0\n\nsetspeed 7\nload\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nsetspeed 7\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\nsetspeed 7\r\n",
    b"\x16\x03\x01\x00\x05\nsetspeed 7\r\n",
    b"PROXY TCP4 10.0.0.1 10.0.0.2 40000 2901\r\nsetspeed 7\r\n",
    b"INVITE sip:x@y SIP/2.0\r\nsetspeed 7\r\n",
    b"*2\r\n$8\r\nsetspeed\r\nsetspeed 7\r\n",
)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Cut ``data`` into pieces of ``size`` bytes."""
    return (data[at : at + size] for at in range(0, len(data), size))


def counted(daemon: MemoryDaemon, name: str) -> int:
    """Return what a counter of the telnet line says."""
    return int(next(counter.value for counter in daemon.telnet_factory.counters() if counter.name == name))


@pytest.mark.parametrize("data", REQUESTS)
def test_nothing_behind_the_first_line_is_done(data: bytes) -> None:
    """Wherever the packets are cut: the connection ends, without a word, and the speed stays."""
    in_two = ((data[:at], data[at:]) for at in range(len(data) + 1))
    for packets in (*in_two, pieces(data, 1), pieces(data, 3)):
        talk = Talk(MemoryDaemon())
        for packet in packets:
            talk.send(packet)
        assert talk.heard() == ""
        assert talk.transport.disconnecting
        assert Talk(talk.daemon).say("speed") == "200 15000\r\n"
        assert counted(talk.daemon, "telnet_foreign") == 1
        assert counted(talk.daemon, "telnet_refused") == 0


def test_a_plain_get_is_a_request() -> None:
    """In capitals as well: only the version makes it HTTP's."""
    talk = Talk(MemoryDaemon())
    assert talk.say("GET /proc/hpc/nodes/1/speed").splitlines()[1:] == ["15000", "."]
    assert not talk.transport.disconnecting


def test_what_was_asked_before_it_is_answered() -> None:
    """In the same packet; what is asked behind it is not."""
    talk = Talk(MemoryDaemon())
    assert talk.say("load", "GET / HTTP/1.1", "speed") == "200 0\r\n"
    assert talk.transport.disconnecting


def test_it_ends_an_answer_that_goes_on() -> None:
    """A watch is given up."""
    talk = Talk(crowded(3))
    assert "201 watching" in talk.say("watch -n 1 load")
    talk.say("GET / HTTP/1.1", "load")
    assert talk.transport.disconnecting
    talk.daemon.advance(5.0)
    assert talk.heard() == ""
    assert not talk.line.busy


@pytest.mark.parametrize("size", [1000, 4097, 100_000])
@pytest.mark.parametrize("length", [4000, 4097, 9000, 70_000])
def test_a_first_line_that_is_too_long(length: int, size: int) -> None:
    """It is 413 as soon as it is too long, and HTTP's as soon as its end is there: then it is over."""
    data = b"POST /" + b"a" * length + b" HTTP/1.1\r\nHost: node\r\n\r\nsetspeed 7\r\nload\r\n"
    talk = Talk(MemoryDaemon())
    for packet in pieces(data, size):
        talk.send(packet)
    heard = talk.heard()
    assert heard == "" or (heard.startswith("413 ") and heard.count("\r\n") == 1), heard
    assert talk.transport.disconnecting
    assert Talk(talk.daemon).say("speed") == "200 15000\r\n"


def test_a_long_line_of_ours_is_only_refused() -> None:
    """The connection goes on."""
    talk = Talk(MemoryDaemon())
    talk.send(b"get /" + b"a" * 9000)
    talk.send(b"a" * 5000 + b"\r\nload\r\n")
    codes = [line[:3] for line in talk.heard().splitlines()]
    assert codes == ["413", "200"]
    assert not talk.transport.disconnecting
