"""One caller's conversation: who he is, and in which format he wants his answers."""

from __future__ import annotations

import struct
from socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_TCP,
    SO_KEEPALIVE,
    SO_PEERCRED,
    SOL_SOCKET,
    TCP_KEEPCNT,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    socket,
)
from typing import Any, Final

from zope.interface import implementer

from gomd.verbs.context import ISession
from libgomd.model import Caller, Role

#: How the kernel probes callers who say nothing: after 30 s, then each 10 s, three times.
_PROBES: Final = (
    (SOL_SOCKET, SO_KEEPALIVE, 1),
    (IPPROTO_TCP, TCP_KEEPIDLE, 30),
    (IPPROTO_TCP, TCP_KEEPINTVL, 10),
    (IPPROTO_TCP, TCP_KEEPCNT, 3),
)


@implementer(ISession)
class Session:
    """Begins in text; `format` and `auth` change it."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.json = False
        self.wrong_tokens = 0


def uid_of_peer(connection: socket) -> int:
    """Return the user id of the process at the other end of a unix socket, as the kernel tells it."""
    _pid, uid, _gid = struct.unpack("3i", connection.getsockopt(SOL_SOCKET, SO_PEERCRED, 12))
    return int(uid)


def local_caller(uid: int, user: str, own_uid: int) -> Caller:
    """
    Return the caller that ``uid`` is over the unix socket.

    Root is admin, and so is the user the daemon itself runs as: he could stop, trace and replace it
    anyway. Everybody else is a user.
    """
    role = Role.ADMIN if uid in (0, own_uid) else Role.USER
    return Caller(role, user, uid, "unix")


def keep_probing(transport: Any) -> None:
    """
    Have the kernel find out whether the caller is still there while neither side says anything, over tcp.

    One that has gone for good looks like one that has said all it wants to say and goes on listening.
    """
    connection = transport.getHandle() if hasattr(transport, "getHandle") else None
    if isinstance(connection, socket) and connection.family in (AF_INET, AF_INET6):
        for level, option, value in _PROBES:
            connection.setsockopt(level, option, value)
