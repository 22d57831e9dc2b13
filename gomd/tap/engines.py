"""The membership engines that `[peers] engine` chooses, each made from the same setup, one or two at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from random import Random
from typing import Any, Final, Protocol

from gomd.cluster.membership import HeartbeatEngine, MapAdmission, Settings
from gomd.cluster.membership.admission import IAdmission
from gomd.cluster.one_address import bind_address
from gomd.cluster.seeds import numeric_seeds
from gomd.config import Config
from gomd.config.settings import PeersSettings
from gomd.services.threads import Threads
from gomd.tap.engine_setup import EngineSetup, derived
from gomd.tap.serf import serf_engine
from libgomd.derivation import ClusterKey
from libgomd.questions import Address
from libgomd.wire.addresses import is_ipv6

#: Gives an engine other keys for traffic of its own; the first one seals.
UseKeys = Callable[[tuple[ClusterKey, ...]], None]


class Engine(Protocol):
    """A membership engine, as far as the daemon starts, stops and configures it."""

    def start(self) -> None:
        """Join the cluster."""

    def stop(self) -> Any:
        """Leave the cluster; may return a Deferred that fires when the other nodes have been told."""

    def set_seeds(self, seeds: tuple[Address, ...]) -> None:
        """Use these addresses of seeds from now on."""


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
    """Return those of ``seeds``, addresses, that this node can send to."""
    families = set(map(is_ipv6, config.peers.addresses))
    return tuple(each for each in seeds if is_ipv6(each[0]) in families)


def _heartbeat(setup: EngineSetup) -> Any:
    return _heartbeat_engine(setup)


def _map(setup: EngineSetup) -> Any:
    from gomd.tap.nodemap import read_map

    found = read_map(setup.config)
    return _heartbeat_engine(setup, MapAdmission(found.names, found.addresses, found.ports))


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
        reactor.callFromThread, lambda: setup.collector.own.address,
    )  # fmt: skip
    threads = Threads(reactor, reactor, "swim", size=2)
    threads.startService()  # it has no thread before kinship starts, and none that outlives the daemon
    runner = SwimRunner(
        make, derived("swim", setup.keys),
        usable_seeds(setup.config, numeric_seeds(peers.seeds)), threads, reactor,
        lambda: setup.collector.own.address,
    )  # fmt: skip
    summaries = Summaries(setup.protocol.asker.ask)
    return Swim(setup.collector.own_node, runner, summaries, reactor, setup.events, setup.wall, peers.forget)


ENGINES: Mapping[str, Callable[[EngineSetup], Any]] = {
    "heartbeat": _heartbeat, "map": _map, "swim": _swim, "serf": serf_engine
}  # fmt: skip
#: The engines whose messages are datagrams of the peer port.
OF_THE_PEER_PORT: Final = frozenset({"heartbeat", "map"})


def make_engine(setup: EngineSetup) -> tuple[Any, UseKeys]:
    """Return the engine of `[peers] engine`, or all of them as one, and what gives it new keys."""
    names = setup.config.peers.engine
    if len(names) == 1:
        engines = [ENGINES[names[0]](setup)]
        made = engines[0]
    else:
        from gomd.cluster.merged_events import EventMerger
        from gomd.cluster.several import SeveralEngines

        merger = EventMerger(names, setup.collector.own.id, setup.reactor, setup.events)
        engines = [
            ENGINES[name](replace(setup, events=merger.of(number))) for number, name in enumerate(names)
        ]
        made = SeveralEngines(engines, [name in OF_THE_PEER_PORT for name in names], names)

    def use_keys(keys: tuple[ClusterKey, ...]) -> None:
        for name, engine in zip(names, engines, strict=True):
            engine.set_keys(derived(name, keys))

    return made, use_keys


def check_ports_of_engines(peers: PeersSettings, port: int, own: str) -> None:
    """
    Check that the ports that engines open for themselves are free, for the peer port ``port``.

    :param own: the address that others are told of this node.
    :raises ConfigError: they are not; one sentence says why.
    """
    address = bind_address(peers.address, own)
    if "swim" in peers.engine:
        from gomd.cluster.swim import check_ports

        check_ports(address, port)
    if "serf" in peers.engine and peers.serf_rpc is None:
        from gomd.cluster.serf import check_serf_ports

        check_serf_ports(address, port)
