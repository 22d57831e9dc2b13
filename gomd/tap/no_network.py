"""The network of a daemon that has no ports for peers: it knows its own node only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.application.service import Service

from gomd.cluster.alone import Alone
from gomd.config import Config
from gomd.interfaces import IMembership, IPeers, IThreads
from gomd.interfaces.counters import Counting
from gomd.protocols.no_peers import NoPeers
from gomd.protocols.peer_trust import PeerTrust
from gomd.tap.node import NodeParts
from gomd.verbs.dispatch import Dispatch
from libgomd.derivation import ClusterKey
from libgomd.errors import CannotMove
from libgomd.model import Finding

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.criu import TlsFiles


class NoNetwork:
    """Has the methods of `gomd.tap.network.Network` and does nothing in them."""

    trouble = ""

    def __init__(self, node: NodeParts) -> None:
        self.members: IMembership = Alone(node.collector.own.id, node.collector)
        self.peers: IPeers = NoPeers()
        self.trust = PeerTrust(admins=True)

    async def paths(self) -> Sequence[Finding]:
        """There are no paths."""
        return ()

    def services(self, dispatch: Dispatch, threads: IThreads) -> tuple[Service, ...]:
        """There are no services."""
        return ()

    def counting(self) -> tuple[Counting, ...]:
        """Return the parts that count something."""
        return self.members, self.peers

    def look_again(self) -> None:
        """There is nobody to announce this node to."""

    def slept(self, seconds: float) -> None:
        """Other nodes said nothing that could have become older."""

    def criu_files(self, directory: str) -> TlsFiles:
        """Write no certificates. :raises CannotMove: always, because no other node can be reached."""
        raise CannotMove("the peers of this daemon are off, see its log")

    def read_keys(self, config: Config) -> tuple[ClusterKey, ...]:
        """There are no keys."""
        return ()

    def take_over(self, config: Config, keys: tuple[ClusterKey, ...]) -> None:
        """There are no keys and no seeds to change."""
