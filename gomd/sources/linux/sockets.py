"""Reads sockets and TCP retransmits from /proc/net: sockstat and snmp."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gomd.sources.files import ProcRoot
from gomd.sources.linux.numbers import whole
from libgomd.errors import GomdError, SourceUnavailable
from libgomd.model import Measure

#: Name in /proc/net/snmp -> name, kind, meaning, kept.
_TCP: Final = {
    "CurrEstab": ("tcp_connections", "gauge", "TCP connections that are open", True),
    "ActiveOpens": ("tcp_opened", "counter", "TCP connections opened from here", False),
    "PassiveOpens": ("tcp_accepted", "counter", "TCP connections accepted here", False),
    "OutSegs": ("tcp_sent_segments", "counter", "TCP segments sent", False),
    "RetransSegs": ("tcp_retransmitted_segments", "counter", "TCP segments sent again", True),
    "InErrs": ("tcp_received_errors", "counter", "TCP segments received damaged", False),
}
_STATES: Final = ("inuse", "orphan", "tw", "alloc")


def read_sockets(root: ProcRoot) -> Iterator[Measure]:
    """Read the files that exist. Blocks. :raises SourceUnavailable: one is not understood."""
    for name, parse in (("net/sockstat", parse_sockstat), ("net/snmp", parse_snmp)):
        try:
            text = root.read(name).decode("ascii", "replace")
        except GomdError:
            continue  # a kernel without it
        yield from parse(text)


def parse_sockstat(text: str) -> Iterator[Measure]:
    """Yield sockets by protocol and state. :raises SourceUnavailable: it is cut or has no numbers."""
    try:
        for line in text.splitlines():
            protocol, _, rest = line.partition(":")
            words = rest.split()
            for state, number in zip(words[::2], words[1::2], strict=True):
                count = whole(number)
                if state in _STATES and count is not None:
                    yield Measure(
                        "sockets", float(count), {"protocol": protocol.lower(), "state": state},
                        text="sockets by protocol and state",
                    )  # fmt: skip
                elif state == "used" and count is not None:
                    yield Measure("sockets_used", float(count), text="sockets of all kinds", kept=True)
    except ValueError as error:
        raise SourceUnavailable(f"/proc/net/sockstat is not understood: {error}") from error


def parse_snmp(text: str) -> Iterator[Measure]:
    """Yield the counters of TCP. :raises SourceUnavailable: names and numbers do not fit."""
    lines = [line for line in text.splitlines() if line.startswith("Tcp:")]
    if len(lines) != 2:
        if lines:
            raise SourceUnavailable(f"/proc/net/snmp is not understood: {len(lines)} lines of Tcp")
        return
    names, numbers = (line.split()[1:] for line in lines)
    try:
        for name, number in zip(names, numbers, strict=True):
            if name in _TCP:
                value = whole(number)
                if value is not None:
                    to, kind, meaning, kept = _TCP[name]
                    yield Measure(to, float(value), {}, kind, meaning, kept)
    except ValueError as error:
        raise SourceUnavailable(f"/proc/net/snmp is not understood: {error}") from error
