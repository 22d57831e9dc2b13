"""The unix sockets that have a name, as the kernel's table in /proc/PID/net shows them."""

from __future__ import annotations

import errno
import re
from typing import Final

NAMED_SOCKET: Final = "it has a socket with a name open"
#: A line of /proc/PID/net/unix: the inode, and a space behind it when the socket has a name of any kind.
_BOUND = re.compile(rb"^[0-9a-f]+:(?: +[0-9A-F]+){5} +([0-9]+) ", re.MULTILINE)
#: Bytes that are read of the table of unix sockets.
_MAX_UNIX_TABLE: Final = 1 << 26


def named_sockets(net: str) -> set[str]:
    """
    Return the inodes of the unix sockets that have a name, by the directory ``net`` of a process. Blocks.

    :raises OSError: not all can be read: then none can be told to have no name.
    """
    try:
        with open(f"{net}/unix", "rb") as file:
            data = file.read(_MAX_UNIX_TABLE)
    except FileNotFoundError:
        return set()  # the process has ended, or the kernel has no such sockets
    if len(data) == _MAX_UNIX_TABLE:
        raise OSError(errno.EFBIG, "there are too many unix sockets")
    return {found.decode() for found in _BOUND.findall(data)}
