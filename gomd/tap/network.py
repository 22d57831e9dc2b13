"""The network of a daemon: membership, questions to peers, and the port at which peers ask this node."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.logger import Logger

from gomd.cluster.alone import Alone
from gomd.config import Config
from gomd.interfaces import IMembership, IThreads
from gomd.interfaces.counters import Counting
from gomd.protocols.handshakes import Handshakes
from gomd.protocols.peer_client import PeerClient
from gomd.protocols.peer_connections import Contact, PeerConnections
from gomd.protocols.peer_questions import PeerQuestions
from gomd.protocols.peer_server import PeerServer
from gomd.protocols.peer_trust import PeerTrust
from gomd.protocols.peers import PeerProtocol
from gomd.services.idle_sweep import IdleSweep
from gomd.services.own_key import own_key_file
from gomd.services.peer_sockets import PeerSockets
from gomd.services.peering import Peering
from gomd.tap.choices import limits_of
from gomd.tap.engine_setup import EngineSetup
from gomd.tap.engines import Engine, NoEngine, UseKeys, make_engine
from gomd.tap.node import NodeParts
from gomd.tap.own_network import OwnEvents, OwnNetwork
from gomd.tap.page_certificates import PageCertificates
from gomd.tap.peer_ports import max_streams, read_keys_of
from gomd.verbs.dispatch import Dispatch
from libgomd.certificates import Credentials, node_credentials
from libgomd.derivation import ClusterKey, key_ring
from libgomd.model import Finding, Node
from libgomd.tls import MutualTLS
from libgomd.wallclock import Wall
from libgomd.wire.addresses import shown

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.criu import TlsFiles
    from gomd.protocols.path_probe import PathProbes

_log = Logger()


class Network:
    """
    The network of a daemon that has ports for its peers; `NoNetwork` is that of one without.

    On an openMosix kernel the kernel knows which nodes there are; elsewhere a membership engine finds out.

    :ivar members: which nodes there are. :ivar peers: asks their daemons. :ivar protocol: the UDP port.
    """

    def __init__(
        self,
        config: Config,
        reactor: Any,
        ports: PeerSockets,
        keys: tuple[ClusterKey, ...],
        node: NodeParts,
        wall: Wall,
    ) -> None:
        self._config = config
        self._reactor = reactor
        self._ports = ports
        self._own = own = node.collector.own
        self._keys = keys
        own_events = OwnEvents(node.collector, node.events, wall)
        self.protocol = PeerProtocol(
            key_ring(keys), own.id, own.name, int(wall() * 1000), reactor, wall, os.urandom,
            groups=ports.groups, max_senders=config.peers.max_nodes, report=own_events.unsent,
        )  # fmt: skip
        self.members: IMembership
        self._use_keys: UseKeys = lambda _keys: None
        self._page_certificates = PageCertificates()
        self._engine: Engine
        if config.node.source == "openmosix":
            self.members, self._engine = Alone(own.id, node.collector), NoEngine()
            contact = self._contact_by_address
        else:
            setup = EngineSetup(
                config, reactor, ports.port, keys, self.protocol, node.collector, node.events, wall
            )
            engine, self._use_keys = make_engine(setup)
            self.members = self._engine = self.protocol.membership = engine
            contact = self._contact_of_member
        self._own_network = OwnNetwork(config, reactor, self._engine, node.collector, own_events)
        self._tls = MutualTLS(partial(node_credentials_of, keys, own))
        self._connections = PeerConnections(reactor, reactor, contact, self._tls, config.peers.addresses)
        self.peers = PeerClient(reactor, self.protocol.asker, self._connections)
        self._probes: PathProbes | None = None
        self._inbound: tuple[Handshakes, PeerServer] | None = None
        if not config.peers.key_file:
            _log.info(
                "no [peers] key_file: the peers' port {place} is for this machine only, and other "
                "daemons on it join with the same key only, the one in {file}",
                place=" and ".join(shown(each, ports.port) for each in config.peers.addresses),
                file=own_key_file(config.node.state_dir),
            )  # fmt: skip

    @property
    def trust(self) -> PeerTrust:
        """The rights of callers of other nodes here."""
        return self._own_network.trust

    @property
    def trouble(self) -> str:
        """Why the other nodes cannot reach this one, a clause; empty when they can."""
        return self._own_network.trouble

    def _contact_by_address(self, node_id: int) -> Contact | None:
        """Return how to reach a node that the kernel knows: at its address, with our own port number."""
        node = self.members.find(str(node_id))
        return Contact(node.address, self._ports.port, self._ports.port)

    def _contact_of_member(self, node_id: int) -> Contact | None:
        found = self.protocol.membership.port_of(node_id)  # type: ignore[union-attr]
        if found is None:
            return None
        (host, port), stream_port = found
        others = tuple(each for each in self.members.find(str(node_id)).addresses if each != host)
        return Contact(host, port, stream_port, others)

    def _is_rival(self, node: int, host: str) -> bool:
        """See `MembershipListener.is_rival`."""
        engine = self.protocol.membership
        return engine is not None and engine.is_rival(node, host)

    async def paths(self) -> Sequence[Finding]:
        """Probe the paths to other nodes, and return what was found."""
        if self._probes is None:
            from gomd.protocols.path_probe import PathProbes  # seldom asked for

            self._probes = PathProbes(
                self._reactor, self._own.id, self.members.nodes, self._connections.reach
            )
        return await self._probes.findings()

    def services(self, dispatch: Dispatch, threads: IThreads) -> tuple[Service, ...]:
        """Return the services: the ports, the watch over the own address, and the timeout of idle streams."""
        limits, most = limits_of(self._config), max_streams(self._config)
        self.protocol.answer = PeerQuestions(dispatch.parts.tree, self.members)
        server = PeerServer(
            dispatch, threads, self._reactor, limits, os.geteuid(), most=most, trust=self.trust,
            is_rival=self._is_rival, own_id=self._own.id,
        )  # fmt: skip
        handshakes = Handshakes(server, self._tls, self._reactor)
        self._inbound = (handshakes, server)
        peering = Peering(self._reactor, self._ports, self.protocol, handshakes, self._engine)
        streams = self._connections.streams
        sweep = IdleSweep(server, self._reactor, streams.end_dead)
        return peering, *self._own_network.services(peering, threads, streams.addresses_are), sweep

    def counting(self) -> tuple[Counting, ...]:
        """Return the parts that count something; call it after `services`."""
        return (
            self.members, self.peers, self.protocol, *(self._inbound or ()), *self._own_network.counting()
        )  # fmt: skip

    def look_again(self) -> None:
        """Announce this node to all others: a clock was set or this process was stopped for a while."""
        self.protocol.renumber()
        if self.protocol.membership is not None:
            self.protocol.membership.look_again()

    def slept(self, seconds: float) -> None:
        """Count the time for which the machine slept towards the age of what other nodes said."""
        if self.protocol.membership is not None:
            self.protocol.membership.slept(seconds)

    def criu_files(self, directory: str) -> TlsFiles:
        """Return the certificates of criu's page servers in ``directory``, written if need be. Blocks."""
        return self._page_certificates.files(self._keys, directory)

    def read_keys(self, config: Config) -> tuple[ClusterKey, ...]:
        """Return the keys of a new configuration. Blocks. :raises ConfigError: a key file cannot be used."""
        return read_keys_of(config)

    def take_over(self, config: Config, keys: tuple[ClusterKey, ...]) -> None:
        """
        Use other keys and seeds from now on, and close the streams of nodes whose key is not valid any more.

        :param keys: what `read_keys` returned.
        """
        removed = {key.id for key in self._keys} - {key.id for key in keys}
        self._keys = keys
        self.protocol.use_keys(key_ring(keys))
        self._tls.use(partial(node_credentials_of, keys, self._own))
        if removed:
            self._connections.streams.drop(self._tls.still_believes)
        if removed and self._inbound is not None:
            handshakes, server = self._inbound
            handshakes.break_off()
            server.drop(self._tls.still_believes)
        self._use_keys(keys)
        self._own_network.take_over(config)


def node_credentials_of(keys: tuple[ClusterKey, ...], own: Node) -> Credentials:
    """Return a fresh certificate of this node."""
    return node_credentials(keys, own.id, own.name)
