"""The parts that talk to the other nodes: ports, keys, membership, questions and streams."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.logger import Logger

from gomd.cluster.alone import Alone
from gomd.cluster.events import Events
from gomd.cluster.membership import Heartbeat, MapRoll, Settings
from gomd.cluster.seeds import known_at_once
from gomd.config import Config
from gomd.interfaces import IMembership, IThreads
from gomd.jobs.criu import TlsFiles
from gomd.protocols.answering import Answerer
from gomd.protocols.forwarding import Contact, Peers
from gomd.protocols.peers import PeerProtocol
from gomd.protocols.streams import PeerDoor
from gomd.services.collector import Collector
from gomd.services.peering import Engine, Peering, PeerSockets
from gomd.services.sweeping import Sweeping
from gomd.services.threads import Threads
from gomd.tap.choices import limits_of, own_address
from gomd.tap.own_network import OwnNetwork
from gomd.verbs.dispatch import Dispatch
from libgomd.errors import ConfigError
from libgomd.model import Node, Role
from libgomd.wire.sealing import KeyRing

if TYPE_CHECKING:
    from libgomd.certificates import Credentials
    from libgomd.derivation import ClusterKey

_log = Logger()


def read_keys_of(config: Config) -> tuple[ClusterKey, ...]:
    """Return the cluster's keys. :raises ConfigError: a key file cannot be used."""
    if not config.peers.key_file:
        return ()
    from libgomd.derivation import read_keys

    return read_keys(config.peers.key_file)


def peer_sockets(config: Config) -> PeerSockets | None:
    """
    Return the ports of the peers; None when the default one on loopback is another daemon's already.

    :raises ConfigError: a port that was asked for cannot be had.
    """
    peers = config.peers
    try:
        group = peers.multicast if peers.discovery else None
        sockets = PeerSockets(peers.address, peers.port, group, own_address(config))
        if peers.engine == "swim":
            from gomd.cluster.swim import check_ports

            try:
                check_ports(peers.address, sockets.port)
            except ConfigError:
                sockets.close()
                raise
        return sockets
    except ConfigError as error:
        if (peers.address, peers.port) != ("127.0.0.1", 5428):
            raise
        _log.warn("the peers are off: {error}", error=error)
        return None


class _NoEngine:
    """Stands in for a membership engine where the kernel itself knows the nodes."""

    def start(self) -> None:
        """Nobody has to be found."""

    def stop(self) -> None:
        """Nobody has to be told."""


class Network:
    """
    What a daemon has of its peers.

    On an openMosix kernel the kernel knows who is there; everywhere else a membership engine finds out.

    :ivar members: which nodes there are. :ivar peers: asks their daemons. :ivar protocol: the UDP port.
    """

    def __init__(
        self,
        config: Config,
        reactor: Any,
        ports: PeerSockets,
        keys: tuple[ClusterKey, ...],
        collector: Collector,
        events: Events,
    ) -> None:
        self._config = config
        self._reactor = reactor
        self._ports = ports
        self._own = own = collector.own
        self._keys = keys
        self._secure = bool(keys)
        self.protocol = PeerProtocol(
            _ring(keys), own.id, own.name, int(reactor.seconds() * 1000), reactor, os.urandom,
            group=ports.group, max_senders=config.peers.max_nodes,
        )  # fmt: skip
        self.members: IMembership
        self._engine: Engine
        if config.node.source == "openmosix":
            self.members, self._engine = Alone(own.id, collector), _NoEngine()
            contact = self._contact_by_address
        else:
            engine = ENGINES[config.peers.engine](config, reactor, ports, self.protocol, collector, events)
            self.members = self._engine = self.protocol.membership = engine
            contact = self._contact_of_member
        self.own_network = OwnNetwork(
            config, reactor, self.protocol, self._engine, collector, events, reactor.seconds
        )
        self._tls = _tls(keys, own)
        self.peers = Peers(reactor, reactor, self.protocol.asker, contact, self._tls, config.peers.address)

    def _contact_by_address(self, node_id: int) -> Contact | None:
        """Where the daemon of a node is that the kernel knows: at its address, at our port."""
        node = self.members.find(str(node_id))
        return Contact(node.address, self._ports.port, self._ports.port)

    def _contact_of_member(self, node_id: int) -> Contact | None:
        found = self.protocol.membership.port_of(node_id)  # type: ignore[union-attr]
        return None if found is None else Contact(found[0][0], found[0][1], found[1])

    def services(self, dispatch: Dispatch, threads: IThreads) -> tuple[Service, ...]:
        """Return what runs: the ports, and what closes forgotten streams."""
        limits = limits_of(self._config)
        reading = self._secure or limits.anonymous >= Role.READ
        self.protocol.answer = Answerer(dispatch.parts.tree, self.members, reading)
        door = PeerDoor(
            dispatch, threads, self._reactor, limits, os.geteuid(), members=self.members, secure=self._secure,
            trust=self.own_network.trust,
        )  # fmt: skip
        factory: Any = door
        if self._tls is not None:
            from twisted.protocols.tls import TLSMemoryBIOFactory

            factory = TLSMemoryBIOFactory(self._tls, False, door)
        peering = Peering(self._reactor, self._ports, self.protocol, factory, self._engine)
        return peering, *self.own_network.services(peering, threads), Sweeping(door, self._reactor)

    def criu_files(self, directory: str) -> TlsFiles | None:
        """Write the certificates of criu's page servers to ``directory``; None without a key. Blocks."""
        if not self._keys:
            return None
        from libgomd.certificates import page_server_credentials, write_pem_files

        os.makedirs(directory, 0o700, exist_ok=True)
        files = write_pem_files(page_server_credentials(self._keys), directory, "page-server")
        return TlsFiles(files.authorities, files.certificate, files.key)

    def take_over(self, config: Config) -> None:
        """Use other keys and seeds from now on. :raises ConfigError: a key file cannot be used."""
        if bool(config.peers.key_file) != self._secure:
            raise ConfigError(["[peers] key_file: to begin or end with keys needs a restart"])
        if self._secure:
            keys = read_keys_of(config)
            self._keys = keys
            self.protocol.use_keys(_ring(keys))
            self._tls.use(node_credentials_of(keys, self._own))
            if hasattr(self._engine, "set_keys"):
                self._engine.set_keys(tuple(key.swim for key in keys))
        self.own_network.take_over(config)


def _ring(keys: tuple[ClusterKey, ...]) -> KeyRing:
    if not keys:
        return KeyRing((), plain=True)
    from libgomd.derivation import key_ring

    return key_ring(keys)


def node_credentials_of(keys: tuple[ClusterKey, ...], own: Node) -> Credentials:
    """Return a fresh certificate of this node."""
    from libgomd.certificates import node_credentials

    return node_credentials(keys, own.id, own.name)


def _tls(keys: tuple[ClusterKey, ...], own: Node) -> Any:
    """Return what makes TLS of a stream, None without a key."""
    if not keys:
        return None
    from libgomd.tls import MutualTLS

    return MutualTLS(node_credentials_of(keys, own))


def _settings(config: Config, ports: PeerSockets) -> Settings:
    peers = config.peers
    return Settings(
        heartbeat=peers.heartbeat,
        forget=peers.forget,
        max_nodes=peers.max_nodes,
        seeds=known_at_once(peers.seeds),
        discovery=peers.discovery,
        port=ports.port,
        stream_port=ports.port,
    )


def _heartbeat(
    config: Config,
    reactor: Any,
    ports: PeerSockets,
    protocol: PeerProtocol,
    collector: Collector,
    events: Events,
) -> Any:
    return Heartbeat(
        collector.own_node, protocol.instance, protocol, reactor, Random(), events,  # noqa: S311
        _settings(config, ports),
    )  # fmt: skip


def _map(
    config: Config,
    reactor: Any,
    ports: PeerSockets,
    protocol: PeerProtocol,
    collector: Collector,
    events: Events,
) -> Any:
    from gomd.tap.nodemap import read_map

    found = read_map(config)
    return Heartbeat(
        collector.own_node, protocol.instance, protocol, reactor, Random(), events,  # noqa: S311
        _settings(config, ports), MapRoll(found.names, found.addresses),
    )  # fmt: skip


def _swim(
    config: Config,
    reactor: Any,
    ports: PeerSockets,
    protocol: PeerProtocol,
    collector: Collector,
    events: Events,
) -> Any:
    from gomd.cluster.summaries import Summaries
    from gomd.cluster.swim import Making, Running, Swim

    peers, own = config.peers, collector.own
    make = Making(
        own.id, own.name, peers.address, ports.port, ports.port, peers.heartbeat, peers.max_nodes,
        reactor.callFromThread,
    )  # fmt: skip
    keys = tuple(key.swim for key in read_keys_of(config))
    threads = Threads(reactor, reactor, "swim", size=2)
    threads.startService()  # it has no thread before kinship starts, and none that outlives the daemon
    running = Running(make, keys, known_at_once(peers.seeds), threads, reactor)
    summaries = Summaries(protocol.asker.ask)
    return Swim(collector.own_node, running, summaries, reactor, events, peers.forget)


ENGINES: Mapping[str, Callable[..., Any]] = {"heartbeat": _heartbeat, "map": _map, "swim": _swim}
