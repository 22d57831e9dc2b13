"""Lines of other protocols are told from requests, whole, cut anywhere, and however long they are."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from gomd.verbs.all import all_verbs
from libgomd.wire.foreign import LongLine, foreign_line, foreign_start

FOREIGN = {
    b"GET / HTTP/1.1": "HTTP",
    b"POST /run?x=1 HTTP/1.0": "HTTP",
    b"PUT /proc/hpc/admin/stay HTTP/1.1": "HTTP",
    b"get /proc/loadavg http/1.1": "HTTP",
    b"GET / --match HTTP/1.1": "HTTP",
    b"OPTIONS * HTTP/1.1": "HTTP",
    b"CONNECT 10.0.0.1:2901 HTTP/1.1": "HTTP",
    b"GET http://node:2901/ HTTP/1.1": "HTTP",
    b"GET /a path with blanks HTTP/1.1": "HTTP",
    b"M-SEARCH * HTTP/1.1": "HTTP",
    b"PRI * HTTP/2.0": "HTTP",
    b"GET\t/\tHTTP/1.1 \t": "HTTP",
    b"HTTP/1.1 200 OK": "HTTP",
    b"DESCRIBE rtsp://node/ RTSP/1.0": "RTSP",
    b"INVITE sip:ada@node SIP/2.0": "SIP",
    b"SIP/2.0 200 OK": "SIP",
    b"Host: node:2901": "a header of HTTP or mail",
    b"Content-Length: 5": "a header of HTTP or mail",
    b"PROXY TCP4 10.0.0.1 10.0.0.2 40000 2901": "PROXY",
    b"EHLO mail.example": "SMTP",
    b"MAIL FROM:<ada@example>": "SMTP",
    b"USER anonymous": "FTP or POP3",
    b"CLIENT libcurl 7.88.1": "DICT",
    b"NICK ada": "IRC",
    b"*3": "Redis",
    b"set key 0 3600 4": "memcached",
    b"put 0 0 60 4": "beanstalk",
    b"CONNECT": "STOMP",
    b"PUB subject 4": "NATS",
    b"<?xml version='1.0'?>": "XML",
    b"<34>Oct 11 22:14:15 node su: failed": "syslog",
    b'{"method": "login"}': "JSON",
    b"gemini://node/proc": "a request by URL, as Gemini's",
}
#: These need no line end.
STARTS = {
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": "TLS",
    b"\x15\x03\x03\x00\x02": "TLS",
    b"SSH-2.0-OpenSSH_9.2": "SSH",
    b"\x05\x01\x00": "SOCKS",
    b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00": "RDP",
    b"\x00\x00\x00\x90\xfeSMB": "a binary protocol",
    b"\x00\x00\x00\x08\x04\xd2\x16\x2f": "a binary protocol",
    b"0\x0c\x02\x01\x01\x60\x07": "LDAP",
    b"\x10\x0c\x00\x04MQTT": "MQTT",
    b"\x00\x1d\x12\x34\x01\x00\x00\x01": "a binary protocol",  # DNS
    b"\x00\x00\x00\x10load": "a binary protocol",
}
OURS = (
    b"", b" ", b"load", b"LOAD", b"@3 load", b"@all get /proc/loadavg", b"GET /proc/loadavg",
    b"get /proc/1/stat", b"ps 1 2 3", b"ps --match HTTP/1.1", b"@all ps --sort cpu --match HTTP/2",
    b"watch ps --match HTTP/1.1", b"put /proc/hpc/admin/speed 7", b"put /proc/4711/goto 3",
    b"auth c2VjcmV0", b"watch -n 0.1 -c 2 @all ps --top 5",
    b"history 3 load,util --since 2026-11-28T10:00:00Z", b"nodes --at -15m", b"signal 4711 KILL",
    b"help get", b"migrate 4711 home dry-run", b"do backup", b"user", b"connect", b"helo",
    b"\x1b[A", b"\x03", b"load \0", b"'*'",
)  # fmt: skip


@pytest.mark.parametrize(("line", "name"), {**FOREIGN, **STARTS}.items())
def test_what_others_send_is_known(line: bytes, name: str) -> None:
    """With a carriage return behind it, too, and blanks around it."""
    assert foreign_line(line) == name
    assert foreign_line(line + b"\r") == name
    assert foreign_line(line + b" ") == name


@pytest.mark.parametrize("line", OURS)
def test_a_request_is_none_of_them(line: bytes) -> None:
    """Not when a line of it is whole, and not when any part of it is there."""
    for end in range(len(line) + 1):
        assert foreign_line(line[:end]) is None
        assert foreign_start(line[:end]) is None


def test_no_verb_is_taken_for_another_protocol() -> None:
    """Each one with the words its help shows, in lower case and in capitals."""
    for verb in all_verbs():
        words = verb.usage.replace("[", "").replace("]", "").replace("...", "x").encode()
        assert foreign_line(words) is None, words
        assert foreign_line(words.split()[0].upper() + b" " + b" ".join(words.split()[1:])) is None, words


@pytest.mark.parametrize(("start", "name"), STARTS.items())
def test_a_start_is_known_as_soon_as_it_is_certain(start: bytes, name: str) -> None:
    """From some byte on it is, whatever follows; before that it may still be a request."""
    known = [foreign_start(start[:end]) for end in range(len(start) + 1)]
    first = known.index(name)
    assert first > 1
    assert known == [None] * first + [name] * (len(known) - first)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_name_or_none(data: bytes) -> None:
    """Nothing is raised; what is certain from the start stays so for the line."""
    start, line = foreign_start(data), foreign_line(data)
    assert start is None or isinstance(start, str)
    assert line is None or isinstance(line, str)


@given(st.integers(0, 6000), st.integers(0, 6000), st.lists(st.integers(1, 2000), max_size=20))
def test_a_long_line_is_known_by_its_ends(target: int, blanks: int, cuts: list[int]) -> None:
    """However long its middle, and however many blanks are behind it; cut anywhere."""
    line = b"GET /" + b"a" * target + b" HTTP/1.1" + b" " * blanks
    long_line, at = LongLine(b""), 0
    for cut in (*cuts, len(line)):
        long_line.feed(line[at : at + cut])
        at += cut
    assert len(long_line.ends) <= 512
    assert foreign_line(long_line.ends) == "HTTP"


def test_a_long_line_of_ours_stays_ours() -> None:
    """Also where the version of a protocol stands somewhere inside of it."""
    for text in (b"get /proc/", b"ps HTTP/1.1 ", b"x"):
        long_line = LongLine(text + b"y" * 5000)
        assert foreign_line(long_line.ends) is None
