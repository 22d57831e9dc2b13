r"""
Tells lines of the telnet line from what other protocols would send to its port.

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

#: Bytes of each end of a line that is too long to be kept; the last word of HTTP's is far shorter.
_KEPT: Final = 256


class _Forms:
    """
    Several forms of lines under their names, looked for all at once; each one is one group of a pattern.
    """

    def __init__(self, *forms: tuple[str, bytes]) -> None:
        self._names = [name for name, _form in forms]
        self._any = re.compile(b"|".join(form for _name, form in forms), re.DOTALL)

    def begins(self, data: bytes) -> str | None:
        """Return the name of the form that ``data`` begins with."""
        return self._name(self._any.match(data))

    def is_one(self, line: bytes) -> str | None:
        """Return the name of the form of all of ``line``."""
        return self._name(self._any.fullmatch(line))

    def _name(self, match: re.Match[bytes] | None) -> str | None:
        return None if match is None or match.lastindex is None else self._names[match.lastindex - 1]


#: What a connection begins with, whether or not a line end ever comes.
_STARTS: Final = _Forms(
    ("TLS", rb"([\x14-\x18]\x03[\x00-\x04])"),
    ("TLS", rb"(\x80.\x01\x03)"),
    ("SSH", rb"(SSH-)"),
    ("SOCKS", rb"(\x05\x01[\x00-\x02])"),
    ("SOCKS", rb"(\x05\x02\x00[\x01\x02])"),
    ("SOCKS", rb"(\x05\x03\x00\x01\x02)"),
    ("RDP", rb"(\x03\x00\x00..\xe0)"),
    ("SMB", rb"(\x00...\xfeSMB)"),
    ("PostgreSQL", rb"(\x00\x00\x00\x08\x04\xd2\x16[\x2e-\x30])"),
    ("PostgreSQL", rb"(\x00\x00..\x00\x03\x00\x00)"),
    ("MongoDB", rb"(.{12}[\xd4\xdd]\x07\x00\x00)"),
    ("LDAP", rb"(0.\x02\x01.[\x60\x63\x77])"),
    ("MQTT", rb"(\x10.\x00[\x04\x06]MQ)"),
    ("AMQP", rb"(AMQP[\x00-\x03])"),
    ("Java RMI", rb"(JRMI\x00)"),
    ("Java RMI", rb"(\xac\xed\x00\x05)"),
    ("BitTorrent", rb"(\x13BitTorrent)"),
    ("git", rb"([0-9a-f]{4}git-)"),
    ("rsync", rb"(@RSYNCD:)"),
)  # fmt: skip

#: ``METHOD TARGET HTTP/1.1`` and its relatives are known by their last word; a target may have blanks in it.
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
    ("JSON", rb"(\{\s*\"[^\"]*\"\s*:.*)"),
)


def foreign_start(data: bytes) -> str | None:
    """
    Return the protocol of ``data``, the beginning of a line whose end has not come yet, else None.

    What may still become a request gives None.
    """
    return _STARTS.begins(data)


class LongLine:
    """
    Keeps both ends of a line that is too long to be kept itself.

    :ivar ends: they, put together: enough for `foreign_line`.
    """

    def __init__(self, start: bytes) -> None:
        self._head = self._tail = b""
        self.feed(start)

    def feed(self, data: bytes) -> None:
        """Take more of the line."""
        room = _KEPT - len(self._head)
        self._head += data[:room]
        tail = self._tail + data[room:]
        text = tail.rstrip(b" \t\r")
        if len(text) < len(tail):  # any number of blanks behind the last word says no more than one does
            text += b" "
        self._tail = text[-_KEPT:]

    @property
    def ends(self) -> bytes:
        """The first and the last bytes of what was taken so far."""
        return self._head + self._tail


@lru_cache(maxsize=512)
def foreign_line(line: bytes) -> str | None:
    """
    Return the protocol that sends ``line``, which has no line end any more; None for a line of ours.

    Of a line that was too long its ends are enough, as `LongLine` keeps them.
    """
    line = line.strip(b" \t\r\v\f")
    return _STARTS.begins(line) or _with_version(line) or _LINES.is_one(line)


def _with_version(line: bytes) -> str | None:
    """Return the protocol of a line like HTTP's first one, by its version."""
    if b"/" not in line:
        return None
    request = _REQUEST.fullmatch(line)
    if request and (request["target"].startswith((b"/", b"*")) or not _OPTION.search(request["target"])):
        return request[2].decode().upper()
    response = _RESPONSE.match(line)
    return None if response is None else response[1].decode().upper()
