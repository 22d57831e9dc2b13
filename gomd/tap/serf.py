"""Joins the parts of the serf engine."""

from __future__ import annotations

import os
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from gomd.cluster.seeds import numeric_seeds
from gomd.services.threads import Threads
from gomd.tap.engine_needs import check_auth_file
from gomd.tap.engine_setup import EngineSetup, derived
from libgomd.errors import ConnectionLost

#: Seconds that opening a connection to the agent may take.
CONNECT_TIMEOUT: Final = 5.0
#: Directory of the agent's files in STATE.
FOLDER: Final = "serf"
#: Members of Serf that are listed at most, for each node: those that are no nodes, and agents that are gone.
_MEMBERS_PER_NODE: Final = 4


def serf_engine(setup: EngineSetup) -> Any:
    """
    Return the engine, with an agent that gomd runs or with the administrator's. Blocks briefly.

    :raises ConfigError: the file with the auth key of that agent cannot be used.
    """
    from gomd.cluster.serf import AdministratorsAgent, AgentFiles, AgentLink, Serf, SerfAgent
    from gomd.cluster.serf.member import NodeClaim, tags_of
    from gomd.cluster.serf.rpc_client import SerfRpc

    peers, reactor, collector = setup.config.peers, setup.reactor, setup.collector
    threads = Threads(reactor, reactor, "serf", size=1)
    threads.startService()  # it has no thread before it is needed, and none that outlives the daemon
    key = setup.keys[0].id.hex()

    def tags() -> dict[str, str]:
        own = collector.own
        port, instance = setup.port, setup.protocol.instance
        return tags_of(NodeClaim(own.id, own.name, tuple(own.hosts), port, port, instance, key))

    def connect(host: str, port: int) -> Deferred[SerfRpc]:
        def failed(failure: Failure) -> SerfRpc:
            raise ConnectionLost(f"no connection to {host}:{port}: {failure.getErrorMessage()}")

        factory = Factory.forProtocol(lambda: SerfRpc(reactor, peers.max_nodes * _MEMBERS_PER_NODE))
        factory.noisy = False
        endpoint = HostnameEndpoint(reactor, host.encode(), port, CONNECT_TIMEOUT)
        opened: Deferred[Any] = endpoint.connect(factory)
        return opened.addErrback(failed)

    agent: Any
    if peers.serf_rpc is not None:
        check_auth_file(setup.config)
        agent = AdministratorsAgent(peers.serf_rpc.host, peers.serf_rpc.port, peers.serf_auth_file, threads)
    else:
        folder = os.path.join(setup.config.node.state_dir, FOLDER)
        agent = SerfAgent(
            reactor.spawnProcess, reactor, threads, peers.serf_program,
            AgentFiles(folder, collector.own.id, peers.address, setup.port), derived("serf", setup.keys),
            tags, lambda: collector.own.address,
        )  # fmt: skip
    return Serf(
        collector.own_node, AgentLink(agent, connect, reactor, tags), setup.protocol.asker.ask, reactor,
        setup.events, setup.wall, numeric_seeds(peers.seeds), peers.forget, peers.max_nodes,
    )  # fmt: skip
