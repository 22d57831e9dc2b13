"""The membership engines that `[peers] engine` chooses, each made from the same setup."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from gomd.cluster.events import Events
from gomd.cluster.membership import HeartbeatEngine, MapAdmission, Settings
from gomd.cluster.membership.admission import IAdmission
from gomd.cluster.seeds import numeric_seeds
from gomd.config import Config
from gomd.protocols.peers import PeerProtocol
from gomd.services.collector import Collector
from gomd.services.threads import Threads
from libgomd.derivation import ClusterKey
from libgomd.questions import Address
from libgomd.wallclock import Wall
from libgomd.wire.addresses import is_ipv6


class Engine(Protocol):
    """A membership engine, as far as the daemon starts, stops and configures it."""

    def start(self) -> None:
        """Join the cluster."""

    def stop(self) -> Any:
        """Leave the cluster; may return a Deferred that fires when the other nodes have been told."""

    def set_seeds(self, seeds: tuple[Address, ...]) -> None:
        """Use these addresses of seeds from now on."""

    def set_keys(self, keys: tuple[bytes, ...]) -> None:
        """Use other keys for traffic of the engine's own; the first one seals."""


class NoEngine:
    """Stands in for a membership engine on an openMosix kernel, which knows the nodes itself."""

    def start(self) -> None:
        """There is nothing to join."""

    def stop(self) -> None:
        """There is nobody to tell."""

    def set_seeds(self, seeds: tuple[Address, ...]) -> None:
        """No seeds are needed."""

    def set_keys(self, keys: tuple[bytes, ...]) -> None:
        """It has no traffic of its own."""


def usable_seeds(config: Config, seeds: Iterable[Address]) -> tuple[Address, ...]:
    """Return those of ``seeds``, addresses, that this node can send to. Swim has only the first address."""
    peers = config.peers
    own = peers.addresses[:1] if peers.engine == "swim" else peers.addresses
    families = set(map(is_ipv6, own))
    return tuple(each for each in seeds if is_ipv6(each[0]) in families)


@dataclass(frozen=True)
class EngineSetup:
    """
    What an engine is made from.

    :ivar port: of this node's datagrams and streams. :ivar wall: gives the time of events.
    """

    config: Config
    reactor: Any
    port: int
    keys: tuple[ClusterKey, ...]
    protocol: PeerProtocol
    collector: Collector
    events: Events
    wall: Wall


def swim_keys(keys: Sequence[ClusterKey]) -> tuple[bytes, ...]:
    """Return the keys with which an engine with traffic of its own seals it."""
    return tuple(key.swim for key in keys)


def _heartbeat(setup: EngineSetup) -> Any:
    return _heartbeat_engine(setup)


def _map(setup: EngineSetup) -> Any:
    from gomd.tap.nodemap import read_map

    found = read_map(setup.config)
    return _heartbeat_engine(setup, MapAdmission(found.names, found.addresses))


def _heartbeat_engine(setup: EngineSetup, *admission: IAdmission) -> HeartbeatEngine:
    peers = setup.config.peers
    settings = Settings(
        heartbeat=peers.heartbeat,
        forget=peers.forget,
        max_nodes=peers.max_nodes,
        seeds=numeric_seeds(peers.seeds),
        discovery=peers.discovery,
        port=setup.port,
        stream_port=setup.port,
        families=frozenset(map(is_ipv6, peers.addresses)),
    )
    return HeartbeatEngine(
        setup.collector.own_node, setup.protocol.instance, setup.protocol, setup.reactor,
        Random(), setup.events, settings, setup.wall, *admission,  # noqa: S311 - jitter
    )  # fmt: skip


def _swim(setup: EngineSetup) -> Any:
    from gomd.cluster.summaries import Summaries
    from gomd.cluster.swim import Swim, SwimRunner, SwimSetup

    peers, own, reactor = setup.config.peers, setup.collector.own, setup.reactor
    make = SwimSetup(
        own.id, own.name, peers.address, setup.port, setup.port, peers.heartbeat, peers.max_nodes,
        reactor.callFromThread,
    )  # fmt: skip
    threads = Threads(reactor, reactor, "swim", size=2)
    threads.startService()  # it has no thread before kinship starts, and none that outlives the daemon
    runner = SwimRunner(
        make, swim_keys(setup.keys), usable_seeds(setup.config, numeric_seeds(peers.seeds)), threads, reactor
    )
    summaries = Summaries(setup.protocol.asker.ask)
    return Swim(setup.collector.own_node, runner, summaries, reactor, setup.events, setup.wall, peers.forget)


ENGINES: Mapping[str, Callable[[EngineSetup], Any]] = {"heartbeat": _heartbeat, "map": _map, "swim": _swim}
