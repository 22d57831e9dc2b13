"""The parts that talk to the other nodes: ports, keys, membership, questions and streams."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import chain
from random import Random
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger

from gomd.cluster.alone import Alone
from gomd.cluster.events import Events
from gomd.cluster.membership import HeartbeatEngine, MapAdmission, Settings
from gomd.cluster.seeds import numeric_seeds
from gomd.config import Config
from gomd.interfaces import IMembership, IThreads
from gomd.jobs.checkpoint.criu import TlsFiles
from gomd.protocols.handshakes import Handshakes
from gomd.protocols.peer_client import Contact, PeerClient
from gomd.protocols.peer_questions import PeerQuestions
from gomd.protocols.peer_server import PeerServer
from gomd.protocols.peers import PeerProtocol
from gomd.services.collector import Collector
from gomd.services.idle_sweep import IdleSweep
from gomd.services.own_key import own_key_file, own_secret
from gomd.services.peering import Engine, Peering, PeerSockets
from gomd.services.threads import Threads
from gomd.tap.choices import limits_of, own_address
from gomd.tap.own_network import OwnNetwork
from gomd.verbs.dispatch import Dispatch
from libgomd.certificates import Credentials, node_credentials, page_server_credentials, write_pem_files
from libgomd.derivation import ClusterKey, key_ring, read_keys
from libgomd.errors import ConfigError
from libgomd.model import Counter, Node
from libgomd.private import make_private_directory
from libgomd.tls import MutualTLS
from libgomd.wallclock import Wall

#: Streams of other nodes to here, at most, of each of `gomd.protocols.peer_server.GROUPS`. The daemons' own
#: come on top of two for each job: how many jobs there are is limited elsewhere.
MOST_STREAMS: Mapping[str, int] = {"daemons": 1024, "admins": 512, "users": 1024, "readers": 1024}
_log = Logger()


def read_keys_of(config: Config) -> tuple[ClusterKey, ...]:
    """
    Return the cluster's keys; without a key file the one in STATE, which is made where it is missing. Blocks.

    :raises ConfigError: a key file cannot be used.
    """
    if config.peers.key_file:
        return read_keys(config.peers.key_file)
    return (ClusterKey.derive(own_secret(config.node.state_dir)),)


def most_streams(config: Config) -> dict[str, int]:
    """Return how many streams of other nodes to here there may be, of each group."""
    return {**MOST_STREAMS, "daemons": MOST_STREAMS["daemons"] + 2 * config.jobs.most}


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
        wall: Wall,
    ) -> None:
        self._config = config
        self._reactor = reactor
        self._ports = ports
        self._own = own = collector.own
        self._keys = keys
        self.protocol = PeerProtocol(
            key_ring(keys), own.id, own.name, int(wall() * 1000), reactor, wall, os.urandom,
            group=ports.group, max_senders=config.peers.max_nodes,
        )  # fmt: skip
        self.members: IMembership
        self._engine: Engine
        if config.node.source == "openmosix":
            self.members, self._engine = Alone(own.id, collector), _NoEngine()
            contact = self._contact_by_address
        else:
            make = ENGINES[config.peers.engine]
            engine = make(config, reactor, ports, keys, self.protocol, collector, events, wall)
            self.members = self._engine = self.protocol.membership = engine
            contact = self._contact_of_member
        self.own_network = OwnNetwork(config, reactor, self.protocol, self._engine, collector, events, wall)
        self._tls = MutualTLS(partial(node_credentials_of, keys, own))
        self.peers = PeerClient(
            reactor, reactor, self.protocol.asker, contact, self._tls, config.peers.address
        )
        self._inward: tuple[Handshakes, PeerServer] | tuple[()] = ()
        if not config.peers.key_file:
            _log.info(
                "no [peers] key_file: the peers' port {address}:{port} is for this machine only, and other "
                "daemons on it join with the same key only, the one in {file}",
                address=config.peers.address, port=ports.port, file=own_key_file(config.node.state_dir),
            )  # fmt: skip

    def _contact_by_address(self, node_id: int) -> Contact | None:
        """Where the daemon of a node is that the kernel knows: at its address, at our port."""
        node = self.members.find(str(node_id))
        return Contact(node.address, self._ports.port, self._ports.port)

    def _contact_of_member(self, node_id: int) -> Contact | None:
        found = self.protocol.membership.port_of(node_id)  # type: ignore[union-attr]
        return None if found is None else Contact(found[0][0], found[0][1], found[1])

    def services(self, dispatch: Dispatch, threads: IThreads) -> tuple[Service, ...]:
        """Return what runs: the ports, and what closes forgotten streams."""
        limits, most = limits_of(self._config), most_streams(self._config)
        self.protocol.answer = PeerQuestions(dispatch.parts.tree, self.members)
        door = PeerServer(
            dispatch, threads, self._reactor, limits, os.geteuid(), most=most, trust=self.own_network.trust
        )
        handshakes = Handshakes(door, self._tls, self._reactor)
        self._inward = (handshakes, door)
        peering = Peering(self._reactor, self._ports, self.protocol, handshakes, self._engine)
        return peering, *self.own_network.services(peering, threads), IdleSweep(door, self._reactor)

    def counters(self) -> Iterable[Counter]:
        """Datagrams, handshakes, and streams of other nodes to here."""
        return chain.from_iterable(each.counters() for each in (self.protocol, *self._inward))

    def look_again(self) -> None:
        """This process was away, or a clock was set: be heard by all others, whatever was forgotten."""
        self.protocol.renumber()
        if self.protocol.membership is not None:
            self.protocol.membership.look_again()

    def slept(self, seconds: float) -> None:
        """The machine slept: what others said is older by that."""
        if self.protocol.membership is not None:
            self.protocol.membership.slept(seconds)

    def criu_files(self, directory: str) -> TlsFiles:
        """Write the certificates of criu's page servers to ``directory``. Blocks."""
        make_private_directory(directory)
        files = write_pem_files(page_server_credentials(self._keys), directory, "page-server")
        return TlsFiles(files.authorities, files.certificate, files.key)

    def take_over(self, config: Config, keys: tuple[ClusterKey, ...]) -> None:
        """Use other keys and seeds from now on; streams of nodes whose key is not among them are cut."""
        gone = {key.id for key in self._keys} - {key.id for key in keys}
        self._keys = keys
        self.protocol.use_keys(key_ring(keys))
        self._tls.use(partial(node_credentials_of, keys, self._own))
        if gone:
            self.peers.drop(self._tls.still_believes)
        if gone and self._inward:
            handshakes, door = self._inward
            handshakes.break_off()
            door.drop(self._tls.still_believes)
        if hasattr(self._engine, "set_keys"):
            self._engine.set_keys(tuple(key.swim for key in keys))
        self.own_network.take_over(config)


def node_credentials_of(keys: tuple[ClusterKey, ...], own: Node) -> Credentials:
    """Return a fresh certificate of this node."""
    return node_credentials(keys, own.id, own.name)


def _settings(config: Config, ports: PeerSockets) -> Settings:
    peers = config.peers
    return Settings(
        heartbeat=peers.heartbeat,
        forget=peers.forget,
        max_nodes=peers.max_nodes,
        seeds=numeric_seeds(peers.seeds),
        discovery=peers.discovery,
        port=ports.port,
        stream_port=ports.port,
    )


def _heartbeat(
    config: Config,
    reactor: Any,
    ports: PeerSockets,
    keys: tuple[ClusterKey, ...],
    protocol: PeerProtocol,
    collector: Collector,
    events: Events,
    wall: Wall,
) -> Any:
    return HeartbeatEngine(
        collector.own_node, protocol.instance, protocol, reactor, Random(), events,  # noqa: S311
        _settings(config, ports), wall,
    )  # fmt: skip


def _map(
    config: Config,
    reactor: Any,
    ports: PeerSockets,
    keys: tuple[ClusterKey, ...],
    protocol: PeerProtocol,
    collector: Collector,
    events: Events,
    wall: Wall,
) -> Any:
    from gomd.tap.nodemap import read_map

    found = read_map(config)
    return HeartbeatEngine(
        collector.own_node, protocol.instance, protocol, reactor, Random(), events,  # noqa: S311
        _settings(config, ports), wall, MapAdmission(found.names, found.addresses),
    )  # fmt: skip


def _swim(
    config: Config,
    reactor: Any,
    ports: PeerSockets,
    keys: tuple[ClusterKey, ...],
    protocol: PeerProtocol,
    collector: Collector,
    events: Events,
    wall: Wall,
) -> Any:
    from gomd.cluster.summaries import Summaries
    from gomd.cluster.swim import Swim, SwimRunner, SwimSetup

    peers, own = config.peers, collector.own
    make = SwimSetup(
        own.id, own.name, peers.address, ports.port, ports.port, peers.heartbeat, peers.max_nodes,
        reactor.callFromThread,
    )  # fmt: skip
    threads = Threads(reactor, reactor, "swim", size=2)
    threads.startService()  # it has no thread before kinship starts, and none that outlives the daemon
    running = SwimRunner(make, tuple(key.swim for key in keys), numeric_seeds(peers.seeds), threads, reactor)
    summaries = Summaries(protocol.asker.ask)
    return Swim(collector.own_node, running, summaries, reactor, events, wall, peers.forget)


ENGINES: Mapping[str, Callable[..., Any]] = {"heartbeat": _heartbeat, "map": _map, "swim": _swim}
