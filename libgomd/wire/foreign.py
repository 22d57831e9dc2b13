r"""
Recognises lines of other protocols, such as HTTP, on the port of the line protocol.

A browser, a proxy or a mail program that is led to this port sends a whole request at once: the first line
of its own protocol, then a body that somebody else has written. Taken line by line, that body would be
requests of ours. So the first line that another protocol would send is recognised here, and the connection
ends with it. Each of these forms is long enough that no request and no mistyped one looks like it:
``GET PATH`` without a version is a request, and stray control characters are answered with 400.

Functions without I/O: any bytes give the name of a protocol or None.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

#: Bytes kept of each end of a line that is too long. The last word of an HTTP line is far shorter.
_KEPT: Final = 256


class _Forms:
    """Named patterns of lines, combined into one regular expression with a group for each."""

    def __init__(self, *forms: tuple[str, bytes]) -> None:
        self._names = [name for name, _form in forms]
        self._any = re.compile(b"|".join(form for _name, form in forms), re.DOTALL)

    def begins(self, data: bytes) -> str | None:
        """Return the name of the pattern that matches the beginning of ``data``."""
        return self._name(self._any.match(data))

    def is_one(self, line: bytes) -> str | None:
        """Return the name of the pattern that matches all of ``line``."""
        return self._name(self._any.fullmatch(line))

    def _name(self, match: re.Match[bytes] | None) -> str | None:
        return None if match is None or match.lastindex is None else self._names[match.lastindex - 1]


#: Beginnings of connections, which may never send a line end.
_STARTS: Final = _Forms(
    ("TLS", rb"([\x14-\x18]\x03[\x00-\x04])"),
    ("TLS", rb"(\x80.\x01\x03)"),
    ("SSH", rb"(SSH-)"),
    ("SOCKS", rb"(\x05\x01[\x00-\x02])"),
    ("SOCKS", rb"(\x05\x02\x00[\x01\x02])"),
    ("SOCKS", rb"(\x05\x03\x00\x01\x02)"),
    ("RDP", rb"(\x03\x00\x00..\xe0)"),
    ("MongoDB", rb"(.{12}[\xd4\xdd]\x07\x00\x00)"),
    ("LDAP", rb"(0.\x02\x01.[\x60\x63\x77])"),
    ("MQTT", rb"(\x10.\x00[\x04\x06]MQ)"),
    ("AMQP", rb"(AMQP[\x00-\x03])"),
    ("Java RMI", rb"(JRMI\x00)"),
    ("Java RMI", rb"(\xac\xed\x00\x05)"),
    ("BitTorrent", rb"(\x13BitTorrent)"),
    ("git", rb"([0-9a-f]{4}git-)"),
    ("rsync", rb"(@RSYNCD:)"),
    # A length before each message, as with DNS, PostgreSQL and SMB. Nobody types NUL to begin a line.
    ("a binary protocol", rb"(\x00.)"),
)  # fmt: skip

#: ``METHOD TARGET HTTP/1.1`` and similar lines, recognised by the last word; a target may contain spaces.
_VERSION: Final = rb"(HTTP|RTSP|SIPS?|ICAP|ICY|HTCPCP|Secure-HTTP)/[0-9]"
_REQUEST: Final = re.compile(
    rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\s+(?P<target>\S.*)\s" + _VERSION + rb"[.0-9]*", re.IGNORECASE | re.DOTALL
)
_RESPONSE: Final = re.compile(_VERSION + rb"[.0-9]*\s+[0-9]", re.IGNORECASE)
#: ``ps --match HTTP/1.1`` looks for a process: there the version is the value of an option.
_OPTION: Final = re.compile(rb"(?:\A|\s)--?[a-z][a-z-]*\s*\Z")

#: Whole lines of text.
_LINES: Final = _Forms(
    ("a header of HTTP or mail", rb"([A-Za-z][A-Za-z0-9-]{2,}:[ \t]+\S.*)"),
    ("PROXY", rb"(PROXY (?:TCP4|TCP6|UNKNOWN)(?: .*)?)"),
    ("SMTP", rb"((?:EHLO|HELO|LHLO)\s+\S+)"),
    ("SMTP", rb"((?:MAIL FROM|RCPT TO):.*)"),
    ("FTP or POP3", rb"(USER \S.*)"),
    ("DICT", rb"(CLIENT \S.*)"),
    ("IRC", rb"(NICK \S.*)"),
    ("IRC", rb"(CAP (?:LS|REQ|END)(?: .*)?)"),
    ("Redis", rb"(\*[1-9][0-9]{0,6})"),
    ("memcached", rb"((?:set|add|replace|append|prepend|cas)\s+\S+\s+[0-9]+\s+-?[0-9]+\s+[0-9]+.*)"),
    ("beanstalk", rb"(put\s+[0-9]+\s+[0-9]+\s+[0-9]+\s+[0-9]+)"),
    ("STOMP", rb"((?:CONNECT|STOMP|SEND))"),
    ("NATS", rb"(CONNECT\s*\{.*)"),
    ("NATS", rb"(H?PUB \S+ .*[0-9]+)"),
    ("XML", rb"(<(?:\?xml|!DOCTYPE|[a-z]+:?[a-z-]*[\s/>]).*)"),
    ("syslog", rb"(<[0-9]{1,3}>[A-Z1].*)"),
    ("a request by URL, as Gemini's", rb"([A-Za-z][A-Za-z0-9+.-]*://\S*)"),
    ("JSON", rb"(\{\s*\"[^\"]*\"\s*:.*)"),
)


def foreign_start(data: bytes) -> str | None:
    """
    Return the protocol of ``data``, the beginning of a line whose end has not arrived yet.

    It returns None for data that may still become a request.
    """
    return _STARTS.begins(data)


class LongLine:
    """
    Keeps the first and last bytes of a line that is too long to store.

    :ivar ends: both joined, which is enough for `foreign_line`.
    """

    def __init__(self, start: bytes) -> None:
        self._head = self._tail = b""
        self.feed(start)

    def feed(self, data: bytes) -> None:
        """Add more of the line."""
        room = _KEPT - len(self._head)
        self._head += data[:room]
        tail = self._tail + data[room:]
        text = tail.rstrip(b" \t\r")
        if len(text) < len(tail):  # any number of spaces after the last word is equivalent to one
            text += b" "
        self._tail = text[-_KEPT:]

    @property
    def ends(self) -> bytes:
        """The first and last bytes of the line so far."""
        return self._head + self._tail


@lru_cache(maxsize=512)
def foreign_line(line: bytes) -> str | None:
    """
    Return the protocol of ``line``, whose line end was removed; None for a line of our protocol.

    For a line that was too long, the ends that `LongLine` keeps are enough.
    """
    line = line.strip(b" \t\r\v\f")
    return _STARTS.begins(line) or _with_version(line) or _LINES.is_one(line)


def _with_version(line: bytes) -> str | None:
    """Return the protocol of a line like the first one of HTTP, from its version."""
    if b"/" not in line:
        return None
    request = _REQUEST.fullmatch(line)
    if request and (request["target"].startswith((b"/", b"*")) or not _OPTION.search(request["target"])):
        return request[2].decode().upper()
    response = _RESPONSE.match(line)
    return None if response is None else response[1].decode().upper()
