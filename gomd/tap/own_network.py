"""Joins the parts that know a daemon's place in the network: its address, seeds, and trust in peers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger

from gomd.cluster.events import Events
from gomd.cluster.seeds import Seeds
from gomd.config import Config
from gomd.interfaces import IThreads
from gomd.interfaces.counters import Counting
from gomd.protocols.peer_trust import PeerTrust
from gomd.services.collector import Collector
from gomd.services.network import NetworkWatch
from gomd.services.own_address import OwnAddress, trouble_of
from gomd.services.peering import Peering
from gomd.services.seed_lookup import MAX_CONCURRENT_LOOKUPS, SeedLookup
from gomd.services.threads import Threads
from gomd.sources.addresses import read_interfaces
from gomd.sources.netlink import open_monitor
from gomd.tap.choices import default_addresses, meant_addresses
from gomd.tap.engines import Engine, usable_seeds
from libgomd.model import Event, EventKind
from libgomd.wallclock import Wall

_log = Logger()


class OwnEvents:
    """Logs and publishes what happens to this node's own network. :param wall: gives the time of events."""

    def __init__(self, collector: Collector, events: Events, wall: Wall) -> None:
        self._collector = collector
        self._events = events
        self._wall = wall

    def say(self, kind: EventKind, reason: str) -> None:
        """Log and publish ``reason``, a clause whose subject is this node."""
        say = _log.info if kind is EventKind.UP else _log.warn
        say("this node: {reason}", reason=reason)
        own = self._collector.own
        self._events.publish(Event(self._wall(), kind, own.id, own.name, reason, own.id))

    def unsent(self, trouble: bool, reason: str) -> None:
        """Say that datagrams cannot be sent, or can again."""
        self.say(EventKind.SUSPECT if trouble else EventKind.UP, reason)


class OwnNetwork:
    """
    Watches the address of this node and resolves the names of its seeds.

    :param engine: the membership engine, which is told the addresses of the seeds.
    :param own_events: told when the address changes, or cannot be reached by others.
    :ivar trust: what callers of other nodes may do here.
    """

    def __init__(
        self,
        config: Config,
        reactor: Any,
        engine: Engine,
        collector: Collector,
        own_events: OwnEvents,
    ) -> None:
        self.trust = PeerTrust(config.peers.admin_from_peers)
        self._watch: NetworkWatch | None = None
        self._reactor = reactor
        self._collector = collector
        self._own_events = own_events
        self._addresses = [OwnAddress(setting, now) for setting, now in meant_addresses(config).items()]
        self._names = Threads(reactor, reactor, "names", size=MAX_CONCURRENT_LOOKUPS)
        self._seeds = Seeds(
            config.peers.seeds, self._names, reactor,
            lambda found: engine.set_seeds(usable_seeds(config, found)),
        )  # fmt: skip

    @property
    def trouble(self) -> str:
        """Why the other nodes cannot reach this one, a clause; empty when they can."""
        return trouble_of(self._addresses)

    def services(
        self, peering: Peering, threads: IThreads, addresses_are: Callable[[Iterable[str]], None]
    ) -> tuple[Service, ...]:
        """
        Return the services: the watch over the address, and the look-up of the seeds.

        :param addresses_are: called with all addresses of this machine when they may have changed.
        """
        self._watch = NetworkWatch(
            self._reactor, threads, self._addresses, lambda: (read_interfaces(), default_addresses()),
            open_monitor, peering.join_again, self._moved, self._own_events.say,
            addresses_are,
        )  # fmt: skip
        return self._watch, SeedLookup(self._seeds, self._names)

    def _moved(self, addresses: tuple[str, ...]) -> None:
        """Note this node's new addresses. The seeds may have new ones, too: a prefix changes for all."""
        self._collector.set_addresses(addresses)
        self._seeds.look_again()

    def counting(self) -> tuple[Counting, ...]:
        """Return the parts that count something; call it after `services`."""
        return () if self._watch is None else (self._watch,)

    def take_over(self, config: Config) -> None:
        """Use other seeds and another `[peers] admin_from_peers` from now on."""
        self.trust.admins = config.peers.admin_from_peers
        self._seeds.use(config.peers.seeds)
