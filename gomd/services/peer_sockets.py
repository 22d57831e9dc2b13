"""The sockets of the peers: those of each address of this node, all bound before the daemon starts."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gomd.services.listening import Socket, allow_tentative, reason_of
from gomd.services.multicast import GroupMembership, send_by
from gomd.sources.addresses import prefer_lasting
from libgomd.endpoints import Tcp
from libgomd.errors import ConfigError
from libgomd.wire.addresses import is_ipv6, is_loopback, shown, without_zone, zone_of

#: Receive buffer in the kernel, in bytes: enough for the heartbeats of a thousand nodes in a second.
RECEIVE_BUFFER_BYTES: Final = 1024 * 1024
#: Times that a port which the kernel chose for one address is tried at the other one, too.
_MAX_TRIES: Final = 16


class AddressSockets:
    """
    The ports at one address of this node.

    :ivar datagrams: for questions and heartbeats. :ivar streams: for longer requests and replies.
    :ivar announcements: for the multicast group of the address's family, None for no multicast.
    :ivar port: the number of `datagrams` and `streams`. :ivar ipv6: whether the address is one of IPv6.
    """

    def __init__(self, address: str, port: int, group: Tcp | None, own: str) -> None:
        """Bind them. Parameters and errors as in `PeerSockets`, of one family."""
        self.ipv6 = is_ipv6(address)
        # The kernel sends no IPv6 multicast by the loopback interface; with `::` an address may come later.
        waits = self.ipv6 and is_loopback(own)
        if waits and is_loopback(address):
            group = None
        self.group = group
        self.membership = None if group is None else GroupMembership(group)
        self.datagrams: socket.socket | None = None
        self.announcements: socket.socket | None = None
        self.streams = Socket("[peers] address and port", Tcp(address, port), only_ipv6=True)
        bound = self.streams.endpoint
        assert isinstance(bound, Tcp)
        self.port = bound.port
        try:
            self.datagrams = _datagram_socket(address, self.port)
            if group is not None and self.membership is not None:
                self.announcements = _group_socket(group)
                if not waits:
                    self._join(own, needed=not is_loopback(own) or is_loopback(address))
        except OSError as error:
            self.close()
            raise PortTaken(
                [
                    f"cannot use udp {shown(address, self.port)} ({reason_of(error, address)}): "
                    "change [peers] address, port or discovery, or stop what listens there"
                ]
            ) from error

    def _join(self, own: str, needed: bool) -> None:
        """
        Send and hear multicast by the interface of ``own``.

        :param needed: whether a failure matters. It does not with ``0.0.0.0`` on a machine that has no IPv4
            address yet, perhaps not even 127.0.0.1: what it gets later is joined then.
        """
        assert self.datagrams is not None
        assert self.announcements is not None
        assert self.membership is not None
        try:
            send_by(self.datagrams, own)
            self.membership.join(self.announcements, own)
        except OSError:
            if needed:
                raise

    def close(self) -> None:
        """Close them."""
        self.streams.close()
        for bound in (self.datagrams, self.announcements):
            if bound is not None:
                bound.close()


class PortTaken(ConfigError):
    """A port of the peers cannot be used."""


class PeerSockets:
    """
    The ports that a daemon has for its peers.

    :ivar of: those of each address, in the order of the addresses. :ivar port: their number, the same at all.
    :ivar groups: the multicast groups that are used, with their ports, in the same order.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        port: int,
        groups: Sequence[Tcp] = (),
        own: Mapping[str, str] | None = None,
    ) -> None:
        """
        Bind them all.

        :param addresses: one or two, of different families. :param port: 0 for any that is free at all of
            them.
        :param groups: the multicast groups and ports of the announcements, one of a family at most.
        :param own: for each address the one whose interface multicast uses; by default itself.
        :raises ConfigError: a port cannot be used; one sentence says why.
        """
        self.of = self._bind(addresses, port, groups, own or {})
        self.port = self.of[0].port
        self.groups = tuple((each.group.host, each.group.port) for each in self.of if each.group is not None)

    def _bind(
        self, addresses: Sequence[str], port: int, groups: Sequence[Tcp], own: Mapping[str, str]
    ) -> tuple[AddressSockets, ...]:
        by_family = {is_ipv6(group.host): group for group in groups}
        for left in reversed(range(_MAX_TRIES if not port and len(addresses) > 1 else 1)):
            bound: list[AddressSockets] = []
            try:
                for address in addresses:
                    number = bound[0].port if bound else port
                    group = by_family.get(is_ipv6(address))
                    bound.append(AddressSockets(address, number, group, own.get(address, address)))
            except ConfigError as error:
                for each in bound:
                    each.close()
                taken = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE
                if not (taken and left):
                    raise
            else:
                return tuple(bound)
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """Close them all."""
        for each in self.of:
            each.close()


def _datagram_socket(address: str, port: int) -> socket.socket:
    bound = _udp_socket(is_ipv6(address))
    with contextlib.suppress(OSError):
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    if is_ipv6(address):
        prefer_lasting(bound)
    try:
        allow_tentative(bound, address)
        # Python's own pairs of host and port lose the zone. Bytes: see `gomd.services.listening`.
        host, numeric = address.encode(), socket.AI_NUMERICHOST
        bound.bind(socket.getaddrinfo(host, port, bound.family, socket.SOCK_DGRAM, flags=numeric)[0][4])
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def _group_socket(group: Tcp) -> socket.socket:
    """Return a socket for the group, which other daemons of this machine may use too."""
    bound = _udp_socket(is_ipv6(group.host))
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        bound.bind((group.host, group.port))
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def _udp_socket(ipv6: bool) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    if ipv6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made


class ZonedSocket:
    """
    A UDP socket of IPv6 that says from which interface a link-local address came, as its zone.

    Python's sockets say it apart from the address, and Twisted drops that.
    """

    def __init__(self, bound: socket.socket) -> None:
        self._socket = bound

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int, int, int]]:
        """As `socket.socket.recvfrom`, with the zone in the address."""
        data, (host, port, flow, scope) = self._socket.recvfrom(size)
        if scope and "%" not in host:
            try:
                host = f"{host}%{socket.if_indextoname(scope)}"
            except OSError:
                host = f"{host}%{scope}"  # the interface has just gone
        return data, (host, port, flow, scope)

    def sendto(self, data: bytes, address: tuple[str, int]) -> int:
        """As `socket.socket.sendto`. :raises OSError: also when the zone is no interface."""
        host, port = address
        zone = zone_of(host)
        if not zone:
            return self._socket.sendto(data, address)
        return self._socket.sendto(data, (without_zone(host), port, 0, socket.if_nametoindex(zone)))
