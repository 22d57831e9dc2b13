"""Sets the options of every TCP connection that carries requests, answers or frames."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, IPPROTO_TCP, TCP_NODELAY, socket
from typing import Any

from twisted.protocols.policies import ProtocolWrapper


def tcp_socket(transport: Any) -> socket | None:
    """Return the TCP socket below ``transport``, with TLS over it or not; None when there is none."""
    while isinstance(transport, ProtocolWrapper):  # TLS, whose own handle is no socket
        transport = transport.transport
    handle = transport.getHandle() if hasattr(transport, "getHandle") else None
    return handle if isinstance(handle, socket) and handle.family in (AF_INET, AF_INET6) else None


def send_without_delay(transport: Any) -> None:
    """
    Let the kernel send at once what is written to ``transport``; what is no TCP is left alone.

    Without TCP_NODELAY the last piece of an answer waits until the one before it was acknowledged (Nagle's
    algorithm), and the other end delays that acknowledgement for 40 ms.
    """
    if (connection := tcp_socket(transport)) is not None:
        connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
