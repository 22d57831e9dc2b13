"""The connection over which the source's criu sends a job's memory to the target's page server."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection
from typing import Final

from libgomd.errors import CannotMove
from libgomd.wire.addresses import is_ipv6, unmapped, without_zone

#: The first byte of a connection that speaks TLS.
_HANDSHAKE: Final = b"\x16"


def listen(address: str, *others: str) -> socket.socket:
    """
    Return a socket that listens for the pages of one dump at ``address``, on any free port.

    :param others: further addresses of this node, of the other family. One socket cannot have two addresses:
        it listens at all of them, and `accept` refuses whoever is not the source.
    """
    if others:
        listening = socket.create_server(("::", 0), family=socket.AF_INET6, backlog=1, dualstack_ipv6=True)
    else:
        family = socket.AF_INET6 if is_ipv6(address) else socket.AF_INET
        # Bytes: for text, Python loads the tables of international names, also when it is an address.
        host, numeric = address.encode(), socket.AI_NUMERICHOST
        place = socket.getaddrinfo(host, 0, family, socket.SOCK_STREAM, flags=numeric)[0][4]
        listening = socket.create_server(place, family=family, backlog=1)
    listening.settimeout(0)
    return listening


def connect(address: str, port: int, limit: float) -> socket.socket:
    """
    Connect to a port of another node. Blocks.

    :param address: of the node, numeric. :param limit: seconds. :raises OSError: it cannot be reached.
    """
    # Bytes: for text, Python loads the tables of international names, also when it is an address.
    return socket.create_connection((address.encode(), port), limit)  # type: ignore[arg-type]


def accept(
    listening: socket.socket,
    sources: Collection[str],
    limit: float,
    speaks: Callable[[socket.socket], bool] = lambda _connection: True,
) -> socket.socket:
    """
    Wait for the connection from one of the addresses ``sources``; any other's is closed. Blocks.

    :param speaks: tells whether a connection may be used; one that may not is closed.
    :raises CannotMove: none came within ``limit`` seconds, or the socket was shut down meanwhile.
    """
    sources = {without_zone(unmapped(each)) for each in sources}
    end = time.monotonic() + limit
    while (left := end - time.monotonic()) > 0:
        listening.settimeout(left)
        try:
            accepted, (address, *_port) = listening.accept()
        except TimeoutError:
            break
        except OSError:
            raise CannotMove("the page server was stopped before its memory came") from None
        if without_zone(unmapped(address)) in sources and speaks(accepted):
            accepted.settimeout(None)
            return accepted
        accepted.close()
    raise CannotMove(f"nothing connected to the page server in {limit:g} s")


def speaks_tls(connection: socket.socket, limit: float = 5.0) -> bool:
    """
    Whether the other end begins to speak TLS, as criu does at once. Blocks; consumes nothing.

    A connection of anybody else, which came first and says nothing, must not take the place of criu's.

    :param limit: seconds.
    """
    connection.settimeout(limit)
    try:
        return connection.recv(1, socket.MSG_PEEK) == _HANDSHAKE
    except OSError:
        return False
