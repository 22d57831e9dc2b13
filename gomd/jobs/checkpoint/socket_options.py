"""
Options of a job's sockets that criu does not restore: read from the stopped job, set in the stopped copy.

A copy without them would send its datagrams no further than its own network, or wait for time stamps that no
longer come, and nobody would say so. Options that need rights of root's are not among them, as another node
says which values they have. Standard library only: supervisors use it. Calls block briefly, and need root.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from gomd.jobs.checkpoint.borrowed_descriptor import duplicate_of
from libgomd.errors import CannotMove
from libgomd.wire import json_fields
from libgomd.wire.frames import MalformedFrame

_SOCKET, _IP, _TCP, _UDP, _IPV6 = 1, 0, 6, 17, 41
#: The options by their level, with the name that errors use. All are whole numbers.
_OPTIONS: Final[Mapping[tuple[int, int], str]] = {
    (_SOCKET, 16): "SO_PASSCRED", (_SOCKET, 29): "SO_TIMESTAMP", (_SOCKET, 34): "SO_PASSSEC",
    (_SOCKET, 35): "SO_TIMESTAMPNS", (_SOCKET, 37): "SO_TIMESTAMPING", (_SOCKET, 40): "SO_RXQ_OVFL",
    (_SOCKET, 42): "SO_PEEK_OFF", (_SOCKET, 76): "SO_PASSPIDFD", (_SOCKET, 83): "SO_PASSRIGHTS",
    (_IP, 6): "IP_RECVOPTS", (_IP, 7): "IP_RETOPTS", (_IP, 8): "IP_PKTINFO", (_IP, 10): "IP_MTU_DISCOVER",
    (_IP, 11): "IP_RECVERR", (_IP, 12): "IP_RECVTTL", (_IP, 13): "IP_RECVTOS",
    (_IP, 20): "IP_RECVORIGDSTADDR",
    (_IP, 21): "IP_MINTTL", (_IP, 24): "IP_BIND_ADDRESS_NO_PORT", (_IP, 25): "IP_RECVFRAGSIZE",
    (_IP, 33): "IP_MULTICAST_TTL", (_IP, 34): "IP_MULTICAST_LOOP", (_IP, 49): "IP_MULTICAST_ALL",
    (_TCP, 7): "TCP_SYNCNT", (_TCP, 8): "TCP_LINGER2", (_TCP, 9): "TCP_DEFER_ACCEPT",
    (_TCP, 18): "TCP_USER_TIMEOUT", (_TCP, 23): "TCP_FASTOPEN", (_TCP, 25): "TCP_NOTSENT_LOWAT",
    (_UDP, 1): "UDP_CORK", (_UDP, 103): "UDP_SEGMENT", (_UDP, 104): "UDP_GRO",
    (_IPV6, 16): "IPV6_UNICAST_HOPS", (_IPV6, 18): "IPV6_MULTICAST_HOPS", (_IPV6, 19): "IPV6_MULTICAST_LOOP",
    (_IPV6, 23): "IPV6_MTU_DISCOVER", (_IPV6, 25): "IPV6_RECVERR", (_IPV6, 29): "IPV6_MULTICAST_ALL",
    (_IPV6, 49): "IPV6_RECVPKTINFO", (_IPV6, 51): "IPV6_RECVHOPLIMIT", (_IPV6, 62): "IPV6_DONTFRAG",
    (_IPV6, 66): "IPV6_RECVTCLASS", (_IPV6, 67): "IPV6_TCLASS", (_IPV6, 73): "IPV6_MINHOPCOUNT",
    (_IPV6, 74): "IPV6_RECVORIGDSTADDR",
}  # fmt: skip
_LEVELS: Final[Mapping[int, tuple[int, ...]]] = {
    socket.AF_UNIX: (_SOCKET,),
    socket.AF_INET: (_SOCKET, _IP, _TCP, _UDP),
    socket.AF_INET6: (_SOCKET, _IP, _TCP, _UDP, _IPV6),
}
#: Those of multicast, which a stream shows but does not let anybody set.
_MULTICAST: Final = ((_IP, 33), (_IP, 34), (_IP, 49), (_IPV6, 18), (_IPV6, 19), (_IPV6, 29))
_SO_PROTOCOL: Final = 38

#: Descriptors that are looked at: a job that has more is refused (`gomd.jobs.checkpoint.job_reader`).
MAX_DESCRIPTORS: Final = 20_000
#: By process and descriptor: level, option and value. A socket that several have is there once.
SocketOptions = Mapping[int, Mapping[int, tuple[tuple[int, int, int], ...]]]


def read(pids: Iterable[int], proc: str = "/proc") -> SocketOptions:
    """Return the options of the sockets of the stopped processes ``pids``; what has ended is left out."""
    found: dict[int, dict[int, tuple[tuple[int, int, int], ...]]] = {}
    known: set[str] = set()
    for pid, number, inode in sockets_of(pids, proc):
        if inode not in known:
            known.add(inode)
            with suppress(OSError), socket.socket(fileno=duplicate_of(pid, number)) as borrowed:
                if told := tuple(_read_options(borrowed)):
                    found.setdefault(pid, {})[number] = told
    return found


def apply(options: SocketOptions) -> None:
    """
    Set the options in the stopped copies that lack them.

    :raises CannotMove: one cannot be set here.
    """
    for pid, of_process in options.items():
        for number, told in of_process.items():
            try:
                borrowed = socket.socket(fileno=duplicate_of(pid, number))
            except OSError:
                continue  # its process has ended, as it had before
            with borrowed:
                for level, option, value in told:
                    if name := _OPTIONS.get((level, option)):
                        _set(borrowed, level, option, value, name)


def sockets_of(
    pids: Iterable[int], proc: str = "/proc", most: int = MAX_DESCRIPTORS
) -> Iterator[tuple[int, int, str]]:
    """
    Yield process, descriptor and inode of each socket; a process that has ended has none.

    :param most: descriptors that are looked at, whatever they are.
    """
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            for name in os.listdir(f"{proc}/{pid}/fd"):
                if (most := most - 1) < 0:
                    return
                with suppress(FileNotFoundError):
                    target = os.readlink(f"{proc}/{pid}/fd/{name}")
                    if target.startswith("socket:["):
                        yield pid, int(name), target[8:-1]


def _read_options(borrowed: socket.socket) -> Iterator[tuple[int, int, int]]:
    levels = _LEVELS.get(borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN), ())
    protocol = borrowed.getsockopt(socket.SOL_SOCKET, _SO_PROTOCOL)
    is_stream = borrowed.type == socket.SOCK_STREAM
    for level, option in _OPTIONS:
        fits = level in levels and (level not in (_TCP, _UDP) or level == protocol)
        if fits and not (is_stream and (level, option) in _MULTICAST):
            with suppress(OSError):  # not one of this kind of socket, or of this kernel
                yield level, option, borrowed.getsockopt(level, option)


def _set(borrowed: socket.socket, level: int, option: int, value: int, name: str) -> None:
    try:
        if borrowed.getsockopt(level, option) != value:
            borrowed.setsockopt(level, option, value)
    except OSError as error:
        raise CannotMove(f"the option {name} of its socket cannot be set there: {error.strerror}") from error


def encode(options: SocketOptions) -> dict[str, Any]:
    """Return ``options`` as JSON has them."""
    return {
        str(pid): {str(number): [list(each) for each in told] for number, told in of_process.items()}
        for pid, of_process in options.items()
    }


def decode(value: object, name: str) -> SocketOptions:
    """Return what `encode` returned. :raises MalformedFrame: the other node sent something else."""
    return {
        pid: {
            number: tuple(_triple(each, name) for each in json_fields.list_of(told, name))
            for number, told in _numbered(of_process, name)
        }
        for pid, of_process in _numbered(value, name)
    }


def _numbered(value: object, name: str) -> list[tuple[int, object]]:
    if not isinstance(value, dict) or not all(str(key).isdecimal() for key in value):
        raise MalformedFrame(f"{name} is an object of numbers")
    return [(int(key), each) for key, each in value.items()]


def _triple(value: object, name: str) -> tuple[int, int, int]:
    level, option, told = json_fields.list_of(value, name, 3)
    for each in (level, option, told):
        if type(each) is not int or not -(1 << 31) <= each < 1 << 31:
            raise MalformedFrame(f"{name} is a list of levels, options and values")
    return level, option, told
