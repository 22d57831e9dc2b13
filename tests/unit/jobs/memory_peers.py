"""The other nodes in memory: which there are, as one of them knows it, and their daemons, which it asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from gomd.interfaces import ForwardedReply, IMembership, IPeers
from gomd.jobs.lifecycle.frame_stream import FrameStream
from libgomd.errors import NotFound, PeerUnreachable, RequestError
from libgomd.model import Caller, Node, Status
from libgomd.wire.lines import OK, Request

if TYPE_CHECKING:
    from tests.unit.jobs.moving_nodes import Cluster, Daemon


@implementer(IMembership)
class Members:
    """The nodes of the cluster, as one of them knows them."""

    def __init__(self, cluster: Cluster, own_id: int) -> None:
        self.own_id = own_id
        self._cluster = cluster

    def nodes(self) -> Sequence[Node]:
        """See `IMembership.nodes`."""
        return [
            Node(
                number, machine.name, f"10.0.0.{number}", machine.status if machine.up else Status.CONFIGURED
            )
            for number, machine in self._cluster.machines.items()
        ]

    def find(self, key: str) -> Node:
        """See `IMembership.find`."""
        for node in self.nodes():
            if key in (str(node.id), node.name):
                return node
        raise NotFound(f"there is no node {key}")

    def counters(self) -> Iterator[Any]:
        """See `IMembership.counters`."""
        return iter(())


@implementer(IPeers)
class Peers:
    """The other daemons, reached over the network in memory."""

    def __init__(self, cluster: Cluster, own_id: int) -> None:
        self._cluster = cluster
        self._own_id = own_id
        self.asked: list[Request] = []

    def _daemon(self, node: Node) -> Daemon:
        daemon = self._cluster.machines[node.id].daemon
        if daemon is None or (self._own_id, node.id) in self._cluster.apart:
            raise PeerUnreachable(f"node {node.id} {node.name} cannot be reached")
        return daemon

    async def read(self, node: Node, path: str) -> bytes:
        """See `IPeers.read`."""
        raise PeerUnreachable("nothing is read here")

    async def cur_node(self, node: Node, pid: int) -> int:
        """See `IPeers.cur_node`."""
        raise PeerUnreachable("nothing is asked here")

    async def follow(
        self,
        node: Node,
        request: Request,
        caller: Caller,
        opened: Callable[[], None],
        take: Callable[[bytes], None],
    ) -> None:
        """See `IPeers.follow`."""
        raise PeerUnreachable("nothing is watched here")

    async def ask(self, node: Node, request: Request, caller: Caller, json: bool) -> ForwardedReply:
        """See `IPeers.ask`."""
        self.asked.append(request)
        daemon = self._daemon(node)
        try:
            name, number, nmigs = request.arguments
            daemon.jobs.moved(name, int(number), int(nmigs))
        except RequestError as error:
            return ForwardedReply(error.code, str(error), None)
        return ForwardedReply(OK, "", None)

    async def open(self, node: Node, request: Request, caller: Caller) -> FrameStream:
        """See `IPeers.open`."""
        daemon = self._daemon(node)
        if request.verb == "attach":
            daemon.jobs.check_guest(caller, request.arguments[0])
        own = self._cluster.machines[self._own_id].daemon
        near, far = self._cluster.network.connect(own, daemon)
        if request.verb == "attach":
            daemon.jobs.attach_guest(caller, request.arguments[0], far)
        elif request.verb == "run":
            daemon.jobs.run(caller, far, guest=request.arguments[0])
        else:
            assert request.verb == "migration"
            daemon.jobs.migrator.join(self._own_id, far)
        return near

    def counters(self) -> Iterator[Any]:
        """See `IPeers.counters`."""
        return iter(())
