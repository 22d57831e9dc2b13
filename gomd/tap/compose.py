"""The parts list of the daemon: every part made and joined, nothing running yet."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import Factory
from twisted.logger import Logger

from gomd.cluster.alone import Alone
from gomd.cluster.events import Events
from gomd.commands.runner import Commands
from gomd.config import Config
from gomd.interfaces import IJobs, IMembership, IMigrator, IPeers
from gomd.jobs.disabled import NoJobs
from gomd.jobs.migration.disabled import NoMigrator
from gomd.jobs.migration.openmosix import OpenMosixMigrator
from gomd.jobs.ownership import JobOwnership
from gomd.jobs.placement.choice import Placement
from gomd.jobs.relocation import Relocation
from gomd.jobs.service import Jobs
from gomd.jobs.supervisor.attributes import reset_oom_score
from gomd.protocols.no_peers import NoPeers
from gomd.protocols.peer_trust import PeerTrust
from gomd.protocols.telnet_factory import TelnetFactory
from gomd.services.clock_watch import ClockWatch
from gomd.services.collector import Collector
from gomd.services.daemon import Daemon
from gomd.services.idle_sweep import IdleSweep
from gomd.services.listening import Listening, Socket
from gomd.services.orphans import Orphans
from gomd.services.systemd import Watchdog, take_environment
from gomd.services.threads import Threads
from gomd.services.tokens import FileTokens
from gomd.sources.settings import written_number
from gomd.tap.choices import SAMPLE_LOGS, SOURCES, limits_of, own_address
from gomd.tap.jobs import balancer_of, jobs_of, no_files
from gomd.tap.monotonic import seconds_since_boot
from gomd.tree.cluster_tree import ClusterTree
from gomd.tree.guests import Guests
from gomd.tree.orders import WrittenOrders
from gomd.verbs.all import all_verbs
from gomd.verbs.context import Parts
from gomd.verbs.dispatch import Dispatch
from libgomd.model import Event, EventKind, Node, Status
from libgomd.version import VERSION
from libgomd.wallclock import Wall, wall_clock

if TYPE_CHECKING:
    from gomd.services.peering import PeerSockets
    from libgomd.derivation import ClusterKey

_log = Logger()
#: Seconds that the end waits for the disk under STATE.
FINISH = 5.0
#: Seconds that gomd.ini and the files it names may take to be read again.
RELOAD_LIMIT = 10.0


def compose(
    config: Config,
    reactor: Any,
    sockets: tuple[Socket, ...],
    node_id: int,
    manhole: tuple[Socket, Callable[..., Factory]] | None = None,
    ports: PeerSockets | None = None,
    keys: tuple[ClusterKey, ...] = (),
    http: tuple[Socket, Callable[..., Any]] | None = None,
    wall: Wall = wall_clock,
    boot: Callable[[], float] = seconds_since_boot,
) -> Daemon:
    """
    Return the daemon: every part made and joined, nothing running yet.

    :param reactor: goes by a monotonic clock. :param wall: gives the time of stamps.
    :param boot: gives seconds since the machine was started, its sleep included.
    """
    notifier, watchdog_period = take_environment(os.environ, os.getpid())
    daemon = Daemon(reactor, config, notifier)
    source, control = SOURCES[config.node.source](config, node_id)
    sample_log = SAMPLE_LOGS[config.log.kind](config)
    reading = Threads(reactor, reactor, "reading", size=12)
    asking = Threads(reactor, reactor, "asking", size=12)
    # Of their own: a disk that hangs takes no thread that answers, and the end waits for what is written.
    journal = Threads(reactor, reactor, "journal", size=1, waiting=1, spare=0, finish=FINISH)
    disk = Threads(reactor, reactor, "disk", size=8, waiting=20_000, finish=FINISH)
    placeholder = Node(node_id, config.node.name, own_address(config), Status.CONFIGURED | Status.UP)
    collector = Collector(
        source, sample_log, reading, reactor, placeholder, wall,
        config.collector.period, config.collector.processes_period,
    )  # fmt: skip
    events = Events()
    members: IMembership = Alone(node_id, collector)
    peers: IPeers = NoPeers()
    network = None
    if ports is not None:
        from gomd.tap.peers import Network, read_keys_of

        daemon.prepare = read_keys_of
        network = Network(config, reactor, ports, keys, collector, events, wall)
        members, peers = network.members, network.peers
    commands = Commands(
        reactor, reactor, config.commands, config.node.command_timeout, on_start=reset_oom_score
    )
    tokens = FileTokens(config.telnet.tokens_file, asking)
    placement = Placement(node_id, reactor)
    jobs: IJobs = NoJobs()
    migrator: IMigrator = NoMigrator("this daemon runs no jobs")
    if config.node.source == "openmosix":
        migrator = OpenMosixMigrator(source, asking, node_id)
    moving = Threads(reactor, reactor, "moving", size=16)
    if config.node.proc_root == "/proc" and config.node.source != "memory":
        tls = network.criu_files if network is not None else no_files
        trust = network.own_network.trust if network is not None else PeerTrust(admins=True)
        jobs = made = jobs_of(
            config, reactor, source, members, peers, asking, moving, journal, disk, events, placement, tls,
            wall, lambda: trust.admins,
        )  # fmt: skip
        migrator = made.migrator
    kin = JobOwnership(jobs, collector)
    relocation = Relocation(
        reactor, members, peers, asking, source, collector, jobs, kin, migrator, placement
    )
    hides_others: Callable[[], bool] = lambda: bool(getattr(source, "hides_others", False))  # noqa: E731
    guests = Guests(jobs, collector, members, None if relocation.by_kernel else kin, hides_others)
    counting: list[Any] = [collector, members, peers, events, commands, tokens, sample_log, jobs]
    parts = Parts(
        clock=reactor,
        wall=wall,
        collector=collector,
        members=members,
        peers=peers,
        events=events,
        tree=ClusterTree(source, members, asking, guests, WrittenOrders(relocation, written_number)),
        control=control,
        threads=asking,
        commands=commands,
        tokens=tokens,
        sample_log=sample_log,
        daemon=daemon,
        counters=lambda: chain.from_iterable(part.counters() for part in counting),
        periods=lambda: collector.periods,
        hides_others=hides_others,
        relocation=relocation,
        jobs=jobs,
        migrator=migrator,
        trouble=lambda: "" if network is None else network.own_network.trouble,
    )
    balancer = balancer_of(config, reactor, members, collector, jobs, migrator)
    if balancer is not None:
        counting.append(balancer)
    clock_watch = ClockWatch(reactor, wall, boot, lambda: collector.own, events)
    counting.append(clock_watch)

    def slept(seconds: float) -> None:
        collector.slept(seconds)
        if network is not None:
            network.slept(seconds)

    clock_watch.slept = slept
    if network is not None:
        clock_watch.disturbed = network.look_again
    verbs = all_verbs()
    dispatch = Dispatch(verbs, parts)
    door = TelnetFactory(dispatch, asking, reactor, limits_of(config), os.geteuid())
    counting += [dispatch, door]

    for service in (
        reading,
        asking,
        moving,
        journal,
        disk,
        collector,
        *(network.services(dispatch, asking) if network else ()),
        Listening(reactor, sockets, door, collector.sampled),
        IdleSweep(door, reactor),
        clock_watch,
        Watchdog(notifier, reactor, watchdog_period),
        *((Orphans(reactor),) if os.getpid() == 1 else ()),
        *((balancer,) if balancer is not None else ()),
        *((jobs,) if isinstance(jobs, Jobs) else ()),  # the first to stop: callers hear no goodbye of theirs
    ):
        service.setServiceParent(daemon)
    if network is not None:
        counting += [network, network.own_network.watch]
    if http is not None:
        socket, make = http
        site = make(reactor, asking, collector, members, parts.counters)
        counting.append(site)
        Listening(reactor, (socket,), site, collector.sampled).setServiceParent(daemon)
        _log.info("the metrics are at {endpoint}", endpoint=str(socket.endpoint))
    if manhole is not None:
        socket, make = manhole
        namespace = {"collector": collector, "cluster": members, "verbs": verbs, "config": config}
        console = Listening(reactor, (socket,), make(asking, reactor, namespace), collector.sampled)
        console.setServiceParent(daemon)
        _log.info("the manhole is at {endpoint}", endpoint=str(socket.endpoint))

    def started(_result: object = None) -> None:
        events.publish(Event(wall(), EventKind.JOIN, node_id, config.node.name, "gomd started", node_id))
        _log.info(
            "gomd {version} is node {id} {name}; the telnet line is at {endpoints}",
            version=VERSION, id=node_id, name=config.node.name,
            endpoints=", ".join(str(bound.endpoint) for bound in sockets),
        )  # fmt: skip

    def take_over(new: Config, keys: tuple[ClusterKey, ...] | None) -> None:
        """Use what can change while running."""
        door.limits = limits_of(new)
        tokens.path = new.telnet.tokens_file
        commands.set_commands(new.commands, new.node.command_timeout)
        collector.set_periods(new.collector.period, new.collector.processes_period)
        if network is not None and keys is not None:
            network.take_over(new, keys)
        if daemon.observer is not None:
            daemon.observer.set_level(new.node.log_level)
        if hasattr(sample_log, "set_limits"):
            sample_log.set_limits(new.log.rotate_bytes, new.log.keep)

    daemon.started = lambda: collector.sampled.addCallback(started)
    daemon.stopped = sample_log.close
    daemon.take_over = take_over
    daemon.apart = lambda work: asking.run_apart(RELOAD_LIMIT, "configuration", "configuration", work)
    return daemon
