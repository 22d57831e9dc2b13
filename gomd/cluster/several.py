"""Several membership engines at once, while a cluster changes from one to the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from gomd.cluster.names import find_node
from gomd.cluster.summaries import Address
from gomd.interfaces import IMembership
from libgomd.model import Counter, Node
from libgomd.wire.messages import Datagram

_log: Final = Logger()


@implementer(IMembership)
class SeveralEngines:
    """
    A node is up when one of the engines says so. Its values are the newest that any of them has.

    :param engines: they publish through `gomd.cluster.merged_events`. The first one that takes the datagrams
        of membership is told of them. :param takes_datagrams: whether that is so, for each engine.
    :param names: of the engines, as in ``[peers] engine``.
    """

    def __init__(self, engines: Sequence[Any], takes_datagrams: Sequence[bool], names: Sequence[str]) -> None:
        self._engines = tuple(engines)
        self._names = tuple(names)
        self.own_id: int = engines[0].own_id
        takers = [each for each, takes in zip(engines, takes_datagrams, strict=True) if takes]
        self._listener = (takers or self._engines)[0]

    # -- start and stop

    def start(self) -> None:
        """Join the cluster with all engines."""
        for engine in self._engines:
            engine.start()

    def stop(self) -> Deferred[None]:
        """Leave the cluster with all engines. The Deferred fires when that is done."""

        def failed(failure: Failure) -> None:
            _log.failure("an engine could not be stopped", failure)

        stopped = [maybeDeferred(engine.stop).addErrback(failed) for engine in self._engines]
        return gatherResults(stopped).addCallback(lambda _results: None)

    def set_seeds(self, seeds: Sequence[Address]) -> None:
        """Replace the seeds of all engines."""
        for engine in self._engines:
            engine.set_seeds(tuple(seeds))

    # -- reports of the peer port

    def receive(self, datagram: Datagram, address: Address, multicast: bool = False) -> None:
        """See `gomd.protocols.membership_listener.MembershipListener`, as all up to `copied`."""
        self._listener.receive(datagram, address, multicast)

    def wrong_clock(self, node: int, name: str, skew: float) -> None:
        """See there."""
        self._listener.wrong_clock(node, name, skew)

    def right_clock(self, node: int) -> None:
        """See there."""
        self._listener.right_clock(node)

    def differing(self, node: int) -> None:
        """See there."""
        self._listener.differing(node)

    def replayed(self, node: int) -> None:
        """See there."""
        self._listener.replayed(node)

    def renumbered(self, name: str) -> None:
        """See there."""
        self._listener.renumbered(name)

    def copied(self, host: str) -> None:
        """See there."""
        self._listener.copied(host)

    def look_again(self) -> None:
        """Look for all nodes again with all engines."""
        for engine in self._engines:
            engine.look_again()

    def slept(self, seconds: float) -> None:
        """Age what all engines know by the seconds that the machine slept."""
        for engine in self._engines:
            engine.slept(seconds)

    # -- what users see

    def nodes(self) -> Sequence[Node]:
        """See `IMembership.nodes`."""
        best: dict[int, Node] = {}
        for engine in self._engines:
            for node in engine.nodes():
                known = best.get(node.id)
                best[node.id] = node if known is None else _better(known, node)
        return [best[number] for number in sorted(best)]

    def find(self, key: str) -> Node:
        """See `IMembership.find`."""
        return find_node(self.nodes(), key)

    def port_of(self, node: int) -> tuple[Address, int] | None:
        """Return a node's address for datagrams and its TCP port, 0 for none; None when it is not up."""
        found = (engine.port_of(node) for engine in self._engines)
        return next((place for place in found if place is not None), None)

    def is_rival(self, node: int, host: str) -> bool:
        """See `MembershipListener.is_rival`: one engine that has found it is enough."""
        return any(engine.is_rival(node, host) for engine in self._engines)

    def counters(self) -> Iterable[Counter]:
        """See `IMembership.counters`. Where two engines count the same, the first one's number is given."""
        nodes = self.nodes()
        yield Counter("nodes", len(nodes), "configured nodes")
        yield Counter("nodes_up", sum(node.up for node in nodes), "nodes that are up")
        for name, engine in zip(self._names, self._engines, strict=True):
            up = sum(node.up for node in engine.nodes())
            yield Counter(f"nodes_up_{name}", up, f"nodes that engine {name} has up")
        seen = {"nodes", "nodes_up"}
        for engine in self._engines:
            for counter in engine.counters():
                if counter.name not in seen:
                    seen.add(counter.name)
                    yield counter


def _better(one: Node, other: Node) -> Node:
    """Return the one that is up, has values, and has newer ones; the first when both are alike."""
    return other if _worth(other) > _worth(one) else one


def _worth(node: Node) -> tuple[bool, bool, float]:
    return node.up, node.age is not None, -(node.age or 0.0)
