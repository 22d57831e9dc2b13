"""Asks the kernel (sock_diag) which unix sockets of this network namespace are connected to which. Blocks."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

_SOCK_DIAG: Final = 4
_BY_FAMILY: Final = 20
_DUMP: Final = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ERROR, _DONE = 2, 3
_SHOW_NAME_AND_PEER: Final = 1 | 4
_NAME, _PEER = 0, 2
_HEADER: Final = struct.Struct("=IHHII")
_MESSAGE: Final = struct.Struct("=BBBxIII")
_ATTRIBUTE: Final = struct.Struct("=HH")
#: Sockets that are read, and seconds that the kernel may take.
_MAX_SOCKETS: Final = 200_000
_TIMEOUT: Final = 5.0


class UnixSocket(NamedTuple):
    """:ivar name: the path, ``@`` before an abstract one, empty. :ivar peer: inode, 0 when not connected."""

    inode: int
    name: str
    peer: int


def parse_sockets(data: bytes) -> Iterator[UnixSocket | None]:
    """
    Yield the sockets in one datagram of the kernel, and None where it says that there are no more.

    :raises OSError: the kernel reports an error.
    """
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _flags, _sequence, _pid = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        body = data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3
        if kind == _DONE:
            yield None
        elif kind == _ERROR and len(body) >= 4:
            number = -struct.unpack_from("=i", body)[0]
            if number:
                raise OSError(number, "the kernel does not list unix sockets")
        elif kind == _BY_FAMILY and len(body) >= _MESSAGE.size:
            yield _socket(body)


def _socket(body: bytes) -> UnixSocket:
    inode, name, peer, at = _MESSAGE.unpack_from(body)[3], "", 0, _MESSAGE.size
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size:
            break
        value = body[at + _ATTRIBUTE.size : at + length]
        if kind == _NAME:
            text = value.rstrip(b"\0") if value[:1] != b"\0" else b"@" + value[1:]
            name = text.decode("utf-8", "surrogateescape")
        elif kind == _PEER and len(value) >= 4:
            [peer] = struct.unpack_from("=I", value)
        at += (length + 3) & ~3
    return UnixSocket(inode, name, peer)


def read_sockets() -> dict[int, UnixSocket]:
    """Return the unix sockets of this network namespace by inode. :raises OSError: they cannot be read."""
    request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 0xFFFFFFFF, 0, _SHOW_NAME_AND_PEER, 0xFFFFFFFF,
                          0xFFFFFFFF)  # fmt: skip
    found: dict[int, UnixSocket] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as asking:
        asking.settimeout(_TIMEOUT)
        asking.send(_HEADER.pack(_HEADER.size + len(request), _BY_FAMILY, _DUMP, 1, 0) + request)
        while True:
            for each in parse_sockets(asking.recv(1 << 18)):
                if each is None:
                    return found
                found[each.inode] = each
            if len(found) > _MAX_SOCKETS:
                raise OSError(errno.EFBIG, "there are too many unix sockets")


def outside(own: Collection[int], all_of_them: dict[int, UnixSocket]) -> str:
    """
    Return why sockets keep a job that are connected to another program, empty when none is.

    :param own: the inodes of the job's sockets, of all families.
    """
    mine = set(own)
    for inode in mine:
        known = all_of_them.get(inode)
        if known is not None and known.peer and known.peer not in mine:
            other = all_of_them.get(known.peer)
            where = f", at {other.name}" if other is not None and other.name else ""
            return f"it has a socket open to another program of this machine{where}"
    return ""
