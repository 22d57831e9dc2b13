"""The parts list of the daemon: every part is made and joined here; nothing runs yet."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.protocol import Factory
from twisted.logger import Logger

from gomd.config import Config
from gomd.services.clock_watch import ClockWatch
from gomd.services.counters import Counters
from gomd.services.daemon import Daemon
from gomd.services.listening import Socket
from gomd.services.orphans import Orphans
from gomd.services.peer_sockets import PeerSockets
from gomd.services.sign_in import SignIn
from gomd.services.systemd import Watchdog, take_environment
from gomd.sources.settings import written_number
from gomd.tap.examining import Examining
from gomd.tap.http import HttpWayIn
from gomd.tap.introducing import introduction
from gomd.tap.job_parts import JobParts
from gomd.tap.monotonic import seconds_since_boot
from gomd.tap.network import Network
from gomd.tap.no_network import NoNetwork
from gomd.tap.node import NodeParts
from gomd.tap.recording import kept_command_of, kept_event_of, recording_of
from gomd.tap.ways_in import WaysIn
from gomd.tree.cluster_tree import ClusterTree
from gomd.tree.orders import WrittenOrders
from gomd.verbs.all import all_verbs
from gomd.verbs.context import Parts
from gomd.verbs.dispatch import Dispatch
from libgomd.derivation import ClusterKey
from libgomd.model import Event, EventKind
from libgomd.version import VERSION
from libgomd.wallclock import Wall, wall_clock

_log = Logger()
#: Seconds that gomd.ini and the files it names may take to be read again.
RELOAD_TIMEOUT: Final = 10.0


@dataclass(frozen=True)
class Taken:
    """
    What a start has taken before the parts are made, so that it could be refused.

    :ivar telnet: the sockets of the telnet line. :ivar ports: those of the peers, None for no peers.
    :ivar keys: the cluster's. :ivar http: the HTTP way in, None when off.
    :ivar manhole, ganglia: a socket and what makes the factory, None when off.
    """

    node_id: int
    telnet: tuple[Socket, ...]
    ports: PeerSockets | None = None
    keys: tuple[ClusterKey, ...] = ()
    http: HttpWayIn | None = None
    manhole: tuple[Socket, Callable[..., Factory]] | None = None
    ganglia: tuple[Socket, Callable[..., Factory]] | None = None


def compose(
    config: Config,
    reactor: Any,
    taken: Taken,
    wall: Wall = wall_clock,
    boot: Callable[[], float] = seconds_since_boot,
) -> Daemon:
    """
    Return the daemon: every part made and joined, nothing running yet.

    :param reactor: goes by a monotonic clock. :param wall: gives the time of stamps.
    :param boot: gives seconds since the machine was started, including those for which it slept.
    """
    notifier, watchdog_period = take_environment(os.environ, os.getpid())
    daemon = Daemon(reactor, config, notifier)
    node = NodeParts(config, reactor, taken.node_id, wall)
    network: Network | NoNetwork = NoNetwork(node)
    if taken.ports is not None:
        network = Network(config, reactor, taken.ports, taken.keys, node, wall)
    jobs = JobParts(config, reactor, node, network, wall)
    recording = recording_of(config, reactor, node, network, jobs, wall)
    counters = Counters()
    used = [config]  # the newest that was read without a mistake
    sign_in = SignIn()
    parts = make_parts(
        config,
        reactor,
        wall,
        node,
        network,
        jobs,
        counters,
        daemon,
        sign_in,
        Examining(lambda: used[0], lambda: node.collector.own.hosts),
        lambda: introduction(used[0]),
    )
    dispatch = Dispatch(all_verbs(), parts)
    ways_in = WaysIn(config, reactor, node, dispatch, taken.telnet)
    if taken.http is not None:
        ways_in.add_http(taken.http, network, counters, dispatch, sign_in)
    if taken.ganglia is not None:
        ways_in.add_ganglia(*taken.ganglia, network, wall)
    if taken.manhole is not None:
        ways_in.add_manhole(*taken.manhole, {
            "collector": node.collector, "cluster": network.members, "verbs": dispatch.table, "config": config
        })  # fmt: skip

    def slept(seconds: float) -> None:
        node.collector.slept(seconds)
        network.slept(seconds)

    clock_watch = ClockWatch(
        reactor, wall, boot, lambda: node.collector.own, node.events, slept, network.look_again
    )
    # Services are started in this order and stopped in the opposite one.
    for service in (
        *node.services(),
        *network.services(dispatch, node.threads.asking),
        *ways_in.telnet_services(),
        clock_watch,
        *recording,
        Watchdog(notifier, reactor, watchdog_period),
        *((Orphans(reactor),) if os.getpid() == 1 else ()),
        *jobs.services(),
        *ways_in.optional_services(),
    ):
        service.setServiceParent(daemon)
    for part in (node, network, jobs, ways_in):
        counters.add(part.counting())
    counters.add(service for service in recording if hasattr(service, "counters"))
    counters.add((dispatch, clock_watch))

    def started(_result: object) -> None:
        own = node.collector.own
        node.events.publish(Event(wall(), EventKind.JOIN, own.id, own.name, "gomd started", own.id))
        _log.info(
            "gomd {version} is node {id} {name}; the telnet line is at {endpoints}",
            version=VERSION, id=taken.node_id, name=config.node.name,
            endpoints=", ".join(str(bound.endpoint) for bound in taken.telnet),
        )  # fmt: skip

    def take_over(new: Config, keys: tuple[ClusterKey, ...]) -> None:
        """Use what of a new configuration can change while the daemon runs."""
        used[0] = new
        ways_in.take_over(new)
        node.take_over(new)
        network.take_over(new, keys)
        if daemon.observer is not None:
            daemon.observer.set_level(new.node.log_level)

    for warning in config.warnings:
        _log.warn("{warning}", warning=warning)
    daemon.started = lambda: node.collector.sampled.addCallback(started)
    daemon.stopped = node.sample_log.close
    daemon.prepare = network.read_keys
    daemon.take_over = take_over
    daemon.apart = lambda work: node.threads.asking.run_apart(
        RELOAD_TIMEOUT, "configuration", "configuration", work
    )
    return daemon


def make_parts(
    config: Config,
    reactor: Any,
    wall: Wall,
    node: NodeParts,
    network: Network | NoNetwork,
    jobs: JobParts,
    counters: Counters,
    daemon: Daemon,
    sign_in: SignIn,
    examining: Examining,
    introduce: Callable[[], Mapping[str, object]] = dict,
) -> Parts:
    """Return the parts that verbs can ask."""
    orders = WrittenOrders(jobs.relocation, written_number)
    return Parts(
        clock=reactor,
        wall=wall,
        collector=node.collector,
        members=network.members,
        peers=network.peers,
        events=node.events,
        tree=ClusterTree(node.source, network.members, node.threads.asking, jobs.guests, orders),
        control=node.control,
        threads=node.threads.asking,
        commands=node.commands,
        tokens=node.tokens,
        sample_log=node.sample_log,
        switch_notes=node.switch_notes,
        history=node.history,
        daemon=daemon,
        counters=counters.counters,
        periods=lambda: node.collector.periods,
        hides_others=lambda: bool(node.source.hides_others),
        relocation=jobs.relocation,
        jobs=jobs.jobs,
        migrator=jobs.migrator,
        trouble=lambda: network.trouble,
        sign_in=sign_in,
        measures=node.measuring.latest,
        holdings=node.source.holdings,
        kept_command=kept_command_of(config),
        kept_event=kept_event_of(config),
        examine=examining.examine,
        survey=examining.survey,
        paths=network.paths,
        introduction=introduce,
        fan_out=config.peers.fan_out,
        trusted=network.trust.caller_for,
    )
