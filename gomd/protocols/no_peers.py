"""The client of other nodes' daemons when the peers are off: it refuses every request."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from zope.interface import implementer

from gomd.interfaces import ForwardedReply, IPeers
from gomd.jobs.lifecycle.frame_stream import FrameStream
from libgomd.errors import PeerUnreachable
from libgomd.model import Caller, Counter, Node
from libgomd.wire.lines import Request


@implementer(IPeers)
class NoPeers:
    """Raises `PeerUnreachable` for every node."""

    def _why_not(self, node: Node) -> PeerUnreachable:
        return PeerUnreachable(
            f"node {node.id} {node.name} cannot be asked: the peers of this daemon are off, see its log"
        )

    async def read(self, node: Node, path: str) -> bytes:
        """See `IPeers.read`."""
        raise self._why_not(node)

    async def cur_node(self, node: Node, pid: int) -> int:
        """See `IPeers.cur_node`."""
        raise self._why_not(node)

    async def ask(self, node: Node, request: Request, caller: Caller, json: bool) -> ForwardedReply:
        """See `IPeers.ask`."""
        raise self._why_not(node)

    async def follow(
        self,
        node: Node,
        request: Request,
        caller: Caller,
        opened: Callable[[], None],
        take: Callable[[bytes], None],
    ) -> None:
        """See `IPeers.follow`."""
        raise self._why_not(node)

    async def open(self, node: Node, request: Request, caller: Caller) -> FrameStream:
        """See `IPeers.open`."""
        raise self._why_not(node)

    def counters(self) -> Iterable[Counter]:
        """See `IPeers.counters`."""
        return ()
