"""The session of one connection: its caller and its format. Also how the kernel identifies callers."""

from __future__ import annotations

import struct
from socket import (
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
from libgomd.tcp import tcp_socket

#: How the kernel probes silent callers over tcp: seconds until the first probe, and between two of them, and
#: their number.
_PROBE_AFTER: Final = 30
_PROBE_INTERVAL: Final = 10
_PROBES: Final = 3


@implementer(ISession)
class Session:
    """Begins in text; the verbs `format` and `auth` change it."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.json = False
        self.token = ""
        self.wrong_tokens = 0


def uid_of_peer(connection: socket) -> int:
    """Return the uid of the process at the other end of a unix socket, which the kernel vouches for."""
    _pid, uid, _gid = struct.unpack("3i", connection.getsockopt(SOL_SOCKET, SO_PEERCRED, 12))
    return int(uid)


def local_caller(uid: int, user: str, own_uid: int) -> Caller:
    """
    Return the caller that ``uid`` is over the unix socket.

    Root is an admin, and so is the user that the daemon runs as, who could stop, trace and replace it anyway.
    Everybody else is a user.
    """
    role = Role.ADMIN if uid in (0, own_uid) else Role.USER
    return Caller(role, user, uid, "unix")


def keep_probing(transport: Any, after: int = _PROBE_AFTER, interval: int = _PROBE_INTERVAL) -> None:
    """
    Let the kernel check over tcp that a silent caller still exists.

    Without this, a machine that has gone cannot be told from a caller that only listens.

    :param after: seconds of silence until the first probe. :param interval: seconds between two.
    """
    if (connection := tcp_socket(transport)) is not None:
        connection.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
        connection.setsockopt(IPPROTO_TCP, TCP_KEEPIDLE, after)
        connection.setsockopt(IPPROTO_TCP, TCP_KEEPINTVL, interval)
        connection.setsockopt(IPPROTO_TCP, TCP_KEEPCNT, _PROBES)
