"""
Finds the streams to other nodes whose other end cannot be reached any more.

Theory of operation. A connection does not end when an address of one of its ends goes away: packets are sent
in vain, and the kernel gives up after a quarter of an hour, or never when there is nothing to send. Nor does
the node go down, which is reached at another address. So the kernel probes a silent stream (keepalive), and
`is_dead` finds the others: those with data that was sent again and again and that nothing was heard since.
TCP_USER_TIMEOUT would do the same, but it also ends a connection whose other end takes nothing because its
reader is slow; such a peer still acknowledges, which is what counts here.
"""

from __future__ import annotations

import struct
from socket import IPPROTO_TCP, TCP_INFO
from typing import Any, Final, NamedTuple

from gomd.protocols.session import keep_probing
from libgomd.tcp import tcp_socket

#: Seconds of silence until the kernel probes a stream, and between two probes of which three are sent.
PROBE_AFTER: Final = 10
PROBE_INTERVAL: Final = 5
#: Milliseconds without an acknowledgement of what was sent, and transmissions of it in vain, after which a
#: stream is dead.
SILENT_MS: Final = 15_000
MIN_RETRANSMITS: Final = 3
#: The begin of the kernel's `struct tcp_info` (linux/tcp.h): 8 bytes, then numbers of 4 bytes.
_INFO: Final = struct.Struct("=8B13I")
_RETRANSMITS, _UNACKED, _LAST_ACK_RECEIVED = 2, 8 + 4, 8 + 12


class StreamState(NamedTuple):
    """
    What the kernel knows of a connection.

    :ivar unacknowledged: packets on the way. :ivar retransmits: how often the first of them was sent again.
    :ivar silent_ms: milliseconds since the last acknowledgement.
    """

    unacknowledged: int
    retransmits: int
    silent_ms: int


def watch(transport: Any) -> None:
    """Let the kernel probe a stream; what is no TCP is left alone."""
    keep_probing(transport, PROBE_AFTER, PROBE_INTERVAL)


def is_dead(transport: Any) -> bool:
    """Return whether nothing that is sent over a stream arrives. False for what is no TCP, or is closed."""
    if (connection := tcp_socket(transport)) is None:
        return False
    try:
        return in_vain(parse_tcp_info(connection.getsockopt(IPPROTO_TCP, TCP_INFO, _INFO.size)))
    except OSError:
        return False  # it was just closed


def parse_tcp_info(data: bytes) -> StreamState:
    """Return what the kernel's `struct tcp_info` says. Nothing is known from a shorter one."""
    if len(data) < _INFO.size:
        return StreamState(0, 0, 0)
    fields = _INFO.unpack_from(data)
    return StreamState(fields[_UNACKED], fields[_RETRANSMITS], fields[_LAST_ACK_RECEIVED])


def in_vain(state: StreamState) -> bool:
    """Return whether nothing was heard of the other end while data was sent to it again and again."""
    return state.unacknowledged > 0 and state.retransmits >= MIN_RETRANSMITS and state.silent_ms >= SILENT_MS
