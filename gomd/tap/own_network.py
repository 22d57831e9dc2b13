"""A daemon's own network: its address, those of its seeds, and what it lets its peers do."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger

from gomd.cluster.events import Events
from gomd.cluster.identity import primary_address
from gomd.cluster.seeds import Seeds
from gomd.config import Config
from gomd.interfaces import IThreads
from gomd.protocols.peer_trust import PeerTrust
from gomd.protocols.peers import PeerProtocol
from gomd.services.collector import Collector
from gomd.services.network import NetworkWatch
from gomd.services.own_address import OwnAddress
from gomd.services.peering import Peering
from gomd.services.seed_lookup import LOOKUPS, SeedLookup
from gomd.services.threads import Threads
from gomd.sources.addresses import read_interfaces
from gomd.sources.netlink import open_monitor
from libgomd.model import Event, EventKind
from libgomd.wallclock import Wall

_log = Logger()


class OwnNetwork:
    """
    :param engine: of membership; one that has ``set_seeds`` is told their addresses.
    :param wall: gives the time of events.
    :ivar trust: what the peers may do here. :ivar watch: looks after the address; None before `services`.
    """

    def __init__(
        self,
        config: Config,
        reactor: Any,
        protocol: PeerProtocol,
        engine: Any,
        collector: Collector,
        events: Events,
        wall: Wall,
    ) -> None:
        self.trust = PeerTrust(config.peers.admin_from_peers)
        self.watch: NetworkWatch | None = None
        self._reactor = reactor
        self._wall = wall
        self._collector = collector
        self._events = events
        self._wall = wall
        self._address = OwnAddress(config.peers.address, collector.own.address)
        self._names = Threads(reactor, reactor, "names", size=LOOKUPS)
        tell = getattr(engine, "set_seeds", lambda _seeds: None)
        self._seeds = Seeds(config.peers.seeds, self._names, reactor, tell)
        protocol.trouble.say = lambda trouble, text: self._say(
            EventKind.SUSPECT if trouble else EventKind.UP, text
        )

    @property
    def trouble(self) -> str:
        """Why the others cannot reach this node, a clause; empty when they can."""
        return self._address.trouble

    def services(self, peering: Peering, threads: IThreads) -> tuple[Service, ...]:
        """Return what runs: the watch over the address, and what looks the seeds up."""
        self.watch = NetworkWatch(
            self._reactor, threads, self._address, lambda: (read_interfaces(), primary_address()),
            open_monitor, peering.join_again, self._collector.set_address, self._say,
        )  # fmt: skip
        return self.watch, SeedLookup(self._seeds, self._names)

    def take_over(self, config: Config) -> None:
        """Use other seeds, and trust peers otherwise, from now on."""
        self.trust.admins = config.peers.admin_from_peers
        self._seeds.use(config.peers.seeds)

    def _say(self, kind: EventKind, reason: str) -> None:
        """Tell people of something that happened to this node's network."""
        say = _log.info if kind is EventKind.UP else _log.warn
        say("this node: {reason}", reason=reason)
        own = self._collector.own
        self._events.publish(Event(self._wall(), kind, own.id, own.name, reason, own.id))
