"""How kinship is set up for gomd: its ports, its keys, its pace, where its log goes."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import kinship
from kinship.blocking import Cluster
from twisted.logger import Logger

from gomd.cluster.one_address import bind_address
from gomd.cluster.summaries import Address
from gomd.cluster.swim.member import name_of
from libgomd.errors import ConfigError
from libgomd.wire.addresses import is_ipv6, shown

#: kinship listens, by UDP and TCP, at the peer port and this: the next one may be the multicast port.
PORT_OFFSET: Final = 2
#: Number of events that kinship keeps at least: all nodes may join at once.
_EVENTS: Final = 1024
#: Seconds after which the id of a node that has left or is down may come from another address: the node has
#: moved. kinship's own 30 s would keep it out for that long.
RECLAIM_AFTER: Final = 1.0
#: Seconds between two tries to contact the seeds while no other node is known.
_REJOIN_INTERVAL: Final = 10.0


@dataclass(frozen=True, slots=True)
class SwimSetup:
    """
    The settings of kinship on this node.

    :ivar port: UDP port of the peer protocol. :ivar stream_port: TCP port for peers, 0 for none.
    :ivar heartbeat: seconds between two probes.
    :ivar max_nodes: maximum number of nodes, this one included.
    :ivar call_from_thread: runs a function on the reactor's thread; used for logging.
    :ivar advertise: returns the address that others are told, where kinship listens at all addresses of its
        family; None for the one at which it listens. kinship asks for it at its start only.
    """

    node: int
    name: str
    address: str
    port: int
    stream_port: int
    heartbeat: float
    max_nodes: int
    call_from_thread: Callable[..., Any]
    advertise: Callable[[], str] | None = None

    def __call__(self, keys: tuple[bytes, ...], seeds: tuple[Address, ...], moves: int = 0) -> Cluster:
        """
        Return a kinship cluster that is not started. Do not call it before a fork: its log needs a thread.

        :param keys: 32 bytes each, at least one; the first one seals.
        :param moves: how many times the address of this node has changed.
        :raises kinship.ConfigError: kinship refuses these settings.
        """
        route_log(self.call_from_thread)
        told = self.address if self.advertise is None else self.advertise()
        bind = bind_address(self.address, told)
        return Cluster(
            kinship.Config.lan(
                name=name_of(self.node, moves),
                bind=shown(bind, self.port + PORT_OFFSET),
                advertise=None if told == bind else shown(told, self.port + PORT_OFFSET),
                cluster="gomd",
                keys=list(keys),
                seeds=seeds_of(seeds),
                meta={"name": self.name, "port": str(self.port), "stream": str(self.stream_port)},
                probe_interval=self.heartbeat,
                probe_timeout=self.heartbeat / 2,
                gossip_interval=min(0.2, self.heartbeat / 2),
                rejoin_interval=_REJOIN_INTERVAL,
                dead_reclaim=RECLAIM_AFTER,
                max_members=self.max_nodes,
                # kinship takes 1,024 new members from one node's list, and the rest half a minute later each.
                max_new_members_per_packet=self.max_nodes,
                event_buffer=max(_EVENTS, self.max_nodes),
            )
        )


def seeds_of(peers: Iterable[Address]) -> list[str]:
    """Return the kinship addresses of nodes with these peer ports; ports above 65535 are left out."""
    return [shown(host, port + PORT_OFFSET) for host, port in peers if port + PORT_OFFSET <= 65535]


def check_ports(address: str, port: int) -> None:
    """
    Check that the ports of kinship are free, for the peer port ``port``.

    :raises ConfigError: they are not; one sentence says why.
    """
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET6 if is_ipv6(address) else socket.AF_INET, kind) as probe:
                if kind == socket.SOCK_STREAM:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port + PORT_OFFSET))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "there is no such port"
        raise ConfigError(
            [
                f"engine swim cannot use udp and tcp {shown(address, port + PORT_OFFSET)} ({reason}): it "
                f"listens {PORT_OFFSET} above [peers] port: change that, or stop what listens there"
            ]
        ) from error


class _ToTwisted(logging.Handler):
    """Passes the log messages of kinship's threads to the log of the daemon."""

    _log: ClassVar[Logger] = Logger()

    def __init__(self, call_from_thread: Callable[..., Any]) -> None:
        super().__init__()
        self._call_from_thread = call_from_thread

    def emit(self, record: logging.LogRecord) -> None:
        self._call_from_thread(self._log.warn, "kinship: {text}", text=record.getMessage())


def route_log(call_from_thread: Callable[..., Any]) -> None:
    """Send warnings of kinship to the daemon's log. Starts a thread."""
    log = logging.getLogger("kinship")
    if not any(isinstance(handler, _ToTwisted) for handler in log.handlers):
        log.propagate = False
        log.addHandler(_ToTwisted(call_from_thread))
    kinship.log_to_python(logging.WARNING)
