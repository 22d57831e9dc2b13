"""The serf engine with real Serf agents keeps what every engine promises (tests.unit.cluster.contract)."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from gomd.cluster.events import Events
from gomd.interfaces import IMembership
from libgomd.errors import TimedOut
from libgomd.model import Node, Status
from libgomd.wire.messages import Question, Summary
from tests.integration.serf.room import OwnAgent, needed
from tests.unit.cluster.contract import MembershipContract

needed()
serf = pytest.importorskip("gomd.cluster.serf")
members = pytest.importorskip("gomd.cluster.serf.member")
rpc_client = pytest.importorskip("gomd.cluster.serf.rpc_client")
UP = Status.CONFIGURED | Status.UP


class RealAgentsContractTests(MembershipContract, TestCase):
    """Nodes 7 and 8, each with an agent; a third member is no gomd. Questions are answered in memory."""

    timeout = 60
    path: str
    agents: dict[int, OwnAgent]

    @classmethod
    def setUpClass(cls) -> None:
        cls.path = tempfile.mkdtemp(prefix="gomd-test-")
        cls.agents = {number: OwnAgent(Path(cls.path, str(number)), number, "", "") for number in (7, 8, 9)}
        for number in (8, 9):
            cls.agents[number].join(cls.agents[7])

    @classmethod
    def tearDownClass(cls) -> None:
        for agent in cls.agents.values():
            agent.close()
        shutil.rmtree(cls.path, ignore_errors=True)

    async def _set_up(self) -> None:
        from twisted.internet import reactor  # noqa: TID251 - the one that trial runs

        self.engines = [self._engine(reactor, number) for number in (7, 8)]
        for engine in self.engines:
            engine.start()
        while not all(len(engine.nodes()) == 2 for engine in self.engines):
            await deferLater(reactor, 0.05)

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        return Deferred.fromCoroutine(self._set_up())

    def tearDown(self) -> Deferred[Any]:  # type: ignore[override]
        return Deferred.fromCoroutine(self._tear_down())

    async def _tear_down(self) -> None:
        for engine in self.engines:
            await engine.stop()

    def _engine(self, reactor: Any, number: int) -> Any:
        from twisted.internet.endpoints import TCP4ClientEndpoint
        from twisted.internet.protocol import Factory

        own = Node(number, f"node{number}", f"127.0.78.{number}", UP, 1, age=0.1)
        claim = members.NodeClaim(number, own.name, (own.address,), 5428, 5428, 1000 + number, "")

        def connect(host: str, port: int) -> Any:
            factory = Factory.forProtocol(lambda: rpc_client.SerfRpc(reactor, 100))
            factory.noisy = False
            return TCP4ClientEndpoint(reactor, host, port, 5.0).connect(factory)

        def ask(address: Any, question: Question) -> Deferred[Any]:
            if question.target not in (7, 8) or address[0] != f"127.0.78.{question.target}":
                return fail(TimedOut("no answer"))
            name = f"node{question.target}"
            return succeed(Summary.of(1, Node(question.target, name, address[0], UP, 5, age=0.1)))

        agent = serf.AdministratorsAgent("127.0.0.1", self.agents[number].rpc, "", None)
        link = serf.AgentLink(agent, connect, reactor, lambda: members.tags_of(claim))
        return serf.Serf(lambda: own, link, ask, reactor, Events(), reactor.seconds)

    def make_membership(self) -> IMembership:
        membership: IMembership = self.engines[0]
        return membership

    def test_the_other_node_is_up_and_the_stranger_is_none(self) -> None:
        """With its address, its ports and its values."""
        engine = self.engines[0]
        assert [node.id for node in engine.nodes() if node.up] == [7, 8]
        assert engine.port_of(8) == (("127.0.78.8", 5428), 5428)
        counted = {counter.name: counter.value for counter in engine.counters()}
        assert counted["serf_agent"] == 1
        assert counted["serf_others"] == 1
