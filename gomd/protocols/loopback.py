"""Whose a tcp connection over loopback is: the kernel's table of connections says the user of each end."""

from __future__ import annotations

import socket
import struct
from typing import Any

#: The kernel's table of the IPv4 connections of this network namespace.
TABLE = "/proc/self/net/tcp"
_LOCAL, _REMOTE, _UID = 1, 2, 7


def uid_of_connection(theirs: Any, ours: Any, table: str = TABLE) -> int | None:
    """
    Return the user id of the process at the other end, None when it is not on this machine.

    Reads a file of the kernel, in less than a millisecond for a few hundred connections.

    :param theirs: their address and port (an `IPv4Address`); ``ours``: our end's.
    """
    wanted = (_encoded(theirs.host, theirs.port), _encoded(ours.host, ours.port))
    try:
        with open(table, encoding="ascii") as lines:
            for line in lines:
                words = line.split()
                if len(words) > _UID and (words[_LOCAL], words[_REMOTE]) == wanted:
                    return int(words[_UID])
    except (OSError, ValueError):
        return None
    return None


def _encoded(host: str, port: int) -> str:
    (number,) = struct.unpack("=I", socket.inet_aton(host))
    return f"{number:08X}:{port:04X}"
