"""Checks that the ports that a job has bound on its source node are free on this node. Blocks briefly."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from gomd.jobs.checkpoint.inet_sockets import Port

#: Maximum number of ports of a job that are tried.
MAX_PORTS: Final = 1000
_FIRST_FOR_USERS: Final = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
_DEFAULT_FIRST: Final = 1024


class NotFree(NamedTuple):
    """A port that a job cannot have here. :ivar error: the number of the error."""

    port: Port
    error: int

    def sentence(self, node: str) -> str:
        """Return a clause for a person. :param node: what a message calls this node."""
        if self.error == errno.EADDRINUSE:
            return f"{self.port} is in use on {node}"
        if self.error == errno.EADDRNOTAVAIL:
            return f"{node} has no address {self.port.address}, where it has {self.port}"
        if self.error == errno.EACCES:
            return f"its user may not have {self.port} on {node}"
        return f"it cannot have {self.port} on {node}: {os.strerror(self.error)}"


def not_free(ports: Collection[Port], uid: int) -> Iterator[NotFree]:
    """Yield those of ``ports`` that a job of user ``uid`` cannot have here, by binding each for a moment."""
    first = first_for_users() if uid else 0
    both = {each.port for each in ports if each.kind.endswith("6")} & {
        each.port for each in ports if not each.kind.endswith("6")
    }
    for each in ports:
        error = errno.EACCES if 0 < each.port < first else _try(each, each.port in both)
        if error:
            yield NotFree(each, error)


def _try(port: Port, only_6: bool) -> int:
    """
    Return the error of binding a port, 0 for none.

    :param only_6: the job has the port for IPv4, too, with a socket of its own.
    """
    family = socket.AF_INET6 if port.kind.endswith("6") and ":" in port.address else socket.AF_INET
    kind = socket.SOCK_STREAM if port.kind.startswith("tcp") else socket.SOCK_DGRAM
    try:
        with socket.socket(family, kind | socket.SOCK_CLOEXEC) as trying:
            if kind == socket.SOCK_STREAM:  # as criu does: what is left of connections does not count
                trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                trying.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only_6))
            trying.bind((port.address, port.port))
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def first_for_users() -> int:
    """Return the lowest port that users may bind here. Blocks briefly."""
    with suppress(OSError, ValueError), open(_FIRST_FOR_USERS, encoding="ascii") as file:
        return int(file.read())
    return _DEFAULT_FIRST
