"""The sockets that keep a process on its node, as the kernel's tables in /proc/PID/net show them."""

from __future__ import annotations

import errno
import re
from typing import Final

NAMED_SOCKET: Final = "it has a socket with a name open"
#: A line of /proc/PID/net/unix: the inode, and a space behind it when the socket has a name of any kind.
_BOUND = re.compile(rb"^[0-9a-f]+:(?: +[0-9A-F]+){5} +([0-9]+) ", re.MULTILINE)
#: The states of TCP connections in the kernel's tables.
_LISTENING, _ESTABLISHED = "0A", "01"
#: Bytes that are read of the table of unix sockets, and of another one.
_MAX_UNIX_TABLE: Final = 1 << 26
_MAX_TABLE: Final = 1 << 24


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


def reasons_to_stay(net: str, uid: int) -> dict[str, str]:
    """
    Return why a job of user ``uid`` stays here, for each socket that keeps it, by inode. Blocks.

    :param net: the directory ``net`` of a process.
    :raises OSError: not all can be read: then none can be told to be harmless.
    """
    found = dict.fromkeys(named_sockets(net) if uid else (), NAMED_SOCKET)
    for kind in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet"):
        try:
            with open(f"{net}/{kind}", encoding="ascii") as file:
                text = file.read(_MAX_TABLE)
        except FileNotFoundError:
            continue  # this kernel has none of that kind
        if len(text) == _MAX_TABLE:
            raise OSError(errno.EFBIG, f"there are too many {kind} sockets")
        lines = text.split("\n")[1:]
        for line in lines:
            words = line.split()
            at = 8 if kind == "packet" else 9
            if len(words) > at:
                found[words[at]] = _socket_reason(kind, words)
    return found


def _socket_reason(kind: str, words: list[str]) -> str:
    if not kind.startswith("tcp"):
        return f"it has a {kind.rstrip('6')} socket open"
    port = int(words[1].rpartition(":")[2], 16)
    if words[3] == _LISTENING:
        return f"it listens on port {port} of this node"
    if words[3] == _ESTABLISHED:
        return f"it has a TCP connection open, to port {int(words[2].rpartition(':')[2], 16)}"
    return "it has a TCP connection open"
