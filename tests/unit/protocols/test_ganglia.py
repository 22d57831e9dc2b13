"""The Ganglia port: well-formed XML whatever the names are, for all who ask, within limits."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as some
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gomd.protocols.ganglia import CONNECTION_LIFETIME, MAX_CONNECTIONS, GangliaFactory
from gomd.protocols.ganglia_xml import TMAX, document
from libgomd.model import Node, Status

UP = Status.CONFIGURED | Status.UP
ALPHA = Node(1, "alpha", "10.0.0.1", UP, load=150, cpus=4, mem=2048, rmem=1024, tmem=4096, age=1.5)
BETA = Node(2, "beta", "10.0.0.2", Status.CONFIGURED)


@given(some.text(max_size=30), some.text(max_size=30))
def test_any_name_is_well_formed(name: str, cluster: str) -> None:
    """One bare character would lose the whole cluster."""
    text = document([Node(1, name, "10.0.0.1", UP, load=1)], cluster, 1e9)
    [found] = ElementTree.fromstring(text)
    assert found.tag == "CLUSTER"
    assert len(found) == 1


def test_values_and_nodes_that_are_down() -> None:
    """What is not known is left out; a node that is down was last heard long ago, and has no values."""
    [cluster] = ElementTree.fromstring(document([ALPHA, BETA], "gomd", 1e9))
    alpha, beta = cluster
    values = {metric.get("NAME"): metric.get("VAL") for metric in alpha}
    assert (values["load_one"], values["cpu_num"], values["mem_total"]) == ("1.50", "4", "4")
    assert "gomd_speed" not in values
    assert alpha.get("TN") == "1"
    assert int(beta.get("TN") or 0) > 4 * TMAX
    assert len(beta) == 0


class Known:
    """A membership of one node, and threads on which nothing is done before it is let go."""

    def __init__(self) -> None:
        self.held: list[Deferred[bytes]] = []

    def nodes(self) -> tuple[Node, ...]:
        """See `IMembership.nodes`."""
        return (ALPHA,)

    def run(self, *arguments: object) -> Deferred[bytes]:
        """See `IThreads.run`."""
        self.held.append(Deferred())
        return self.held[-1]


class PortTests(SynchronousTestCase):
    """The port."""

    def setUp(self) -> None:
        self.clock = Clock()
        known = cast(Any, Known())
        self.held: list[Deferred[bytes]] = known.held
        self.factory = GangliaFactory("gomd", known, known, self.clock, lambda: 1e9)

    def caller(self) -> StringTransport:
        """Connect."""
        transport = StringTransport()
        protocol = self.factory.buildProtocol(None)
        protocol.makeConnection(transport)
        self.addCleanup(protocol.connectionLost, Failure(ConnectionDone()))
        return transport

    def test_one_document_for_all(self) -> None:
        """It is made once, for who waits and for who comes within a second; a later one is made anew."""
        first, second = self.caller(), self.caller()
        self.assertEqual(len(self.held), 1)
        self.held[0].callback(b"<X/>")
        third = self.caller()
        for each in (first, second, third):
            self.assertEqual((each.value(), each.disconnecting), (b"<X/>", True))
        self.clock.advance(1.1)
        self.caller()
        self.assertEqual(len(self.held), 2)

    def test_nobody_holds_the_port(self) -> None:
        """The oldest connection makes room, and one that lasts too long is ended."""
        held = [self.caller() for _ in range(MAX_CONNECTIONS)]
        self.caller()
        self.assertEqual([each.disconnecting for each in held[:2]], [True, False])
        self.clock.advance(CONNECTION_LIFETIME)
        self.assertTrue(all(each.disconnecting for each in held))

    def test_a_failure_is_an_empty_answer(self) -> None:
        """It is logged, and the next one is made again."""
        caller = self.caller()
        self.held[0].errback(Failure(ZeroDivisionError()))
        self.assertEqual((caller.value(), caller.disconnecting), (b"", True))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.caller()
        self.assertEqual(len(self.held), 2)
