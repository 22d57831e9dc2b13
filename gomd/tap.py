"""`twistd gomd`: its options, and the one place where the parts of the daemon are chosen and joined."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from typing import Any, NoReturn

from twisted.application.service import IService
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python import usage

from gomd.cluster.alone import Alone
from gomd.cluster.events import Events
from gomd.cluster.identity import id_of, primary_address
from gomd.cluster.tree import Tree
from gomd.config import SHORT_OPTIONS, Config, Surroundings, find_file, load, overrides_for
from gomd.interfaces import INodeSource, IProcessControl, ISampleLog
from gomd.jobs.commands import Commands
from gomd.protocols.door import Door, Limits
from gomd.protocols.nopeers import NoPeers
from gomd.services.collector import Collector
from gomd.services.daemon import Daemon
from gomd.services.limits import raise_file_limit
from gomd.services.listening import Listening, Socket
from gomd.services.logging import DaemonLog
from gomd.services.state import StateDirectory
from gomd.services.sweeping import Sweeping
from gomd.services.systemd import Watchdog, take_environment
from gomd.services.threads import Threads
from gomd.services.tokens import FileTokens
from gomd.verbs.all import all_verbs
from gomd.verbs.context import Parts
from gomd.verbs.dispatch import Dispatch
from libgomd.endpoints import PUBLIC_SOCKET, ROOT_STATE, Endpoint, Unix
from libgomd.errors import ConfigError, SourceUnavailable
from libgomd.model import Event, EventKind, Node, Role, Status
from libgomd.version import VERSION

_log = Logger()


class Options(usage.Options):
    """The options of `twistd gomd`; everything is checked before anything is started."""

    longdesc = "The general openMosix daemon: gathers what /proc knows and answers for it."
    optFlags = [["check", None, "check the configuration, say what is wrong with it, and exit"]]
    optParameters = [
        [
            "config",
            "c",
            None,
            "the configuration file (default: ./gomd.ini, /etc/gomd/gomd.ini, /etc/gomd.conf)",
        ],
        *([name, None, None, text] for name, text in SHORT_OPTIONS.items()),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.overrides: list[str] = []
        self.around = Surroundings.of_this_process()

    def opt_set(self, setting: str) -> None:
        """Set one setting, section.key=value, over the file; may be repeated."""
        self.overrides.append(setting)

    def opt_version(self) -> NoReturn:
        """Print the version and exit."""
        print(f"gomd {VERSION}")
        sys.exit(0)

    def postOptions(self) -> None:
        """Read the whole configuration; every mistake is listed and refuses the start."""
        try:
            for name in SHORT_OPTIONS:
                if self[name] is not None:
                    self.overrides.extend(overrides_for(name, self[name]))
            self["configuration"] = self.load()
        except ConfigError as error:
            _refuse(error)
        if self["check"]:
            print(
                f"gomd: the configuration is good ({self['configuration'].path or 'no file, all defaults'})"
            )
            sys.exit(0)

    def load(self) -> Config:
        """Read file and command line, now as at the start. :raises ConfigError: with every mistake."""
        return load(find_file(self["config"], self.around), self.overrides, self.around)


def makeService(options: Options) -> IService:
    """Return the daemon, its STATE and sockets taken; one sentence and exit status 1 when it cannot."""
    from twisted.internet import reactor  # noqa: TID251 - the one place that names it

    config: Config = options["configuration"]
    raise_file_limit(config.telnet.max_connections + 256)
    try:
        node_id = node_id_of(config)
        state = StateDirectory(config.node.state_dir)
        state.take()
        manhole = manhole_of(config)
        sockets = tuple(Socket("[telnet] endpoints", endpoint) for endpoint in telnet_endpoints(config))
    except ConfigError as error:
        _refuse(error)
    daemon = compose(config, reactor, sockets, node_id, manhole)
    daemon.observer = make_log(config, options.parent or {})
    daemon.load = options.load
    reactor.callWhenRunning(state.sign)
    return daemon


def make_log(config: Config, twistd: Mapping[str, Any]) -> DaemonLog | None:
    """
    Return where the daemon's own log goes: where twistd's options say, in the format gomd.ini says.

    None when twistd was given a logger of its own, or syslog.
    """
    if twistd.get("logger") or twistd.get("syslog"):
        return None
    path = twistd.get("logfile") or ("-" if twistd.get("nodaemon") else "twistd.log")
    out: Any = sys.stdout
    if path != "-":
        from twisted.python.logfile import LogFile

        out = LogFile.fromFullPath(path, rotateLength=10_000_000, maxRotatedFiles=5)
    return DaemonLog(out, config.node.log_format, config.node.log_level)


def _refuse(error: ConfigError) -> NoReturn:
    for mistake in error.mistakes:
        print(f"gomd: {mistake}", file=sys.stderr)
    sys.exit(1)


# -- the parts that gomd.ini chooses: a name there is a key here, never something that gets imported by name


def _linux(config: Config, node_id: int) -> tuple[INodeSource, IProcessControl]:
    from gomd.sources.control import KernelProcessControl
    from gomd.sources.linux import LinuxSource

    node = config.node
    source = LinuxSource(
        node_id, node.name, config.peers.address, node.proc_root, node.state_dir,
        speed=node.speed or None, sspeed=node.sspeed or None,
    )  # fmt: skip
    return source, KernelProcessControl(node.proc_root, os.getpid)


def _openmosix(config: Config, node_id: int) -> tuple[INodeSource, IProcessControl]:
    from gomd.sources.control import KernelProcessControl
    from gomd.sources.openmosix import OpenMosixSource

    node = config.node
    return OpenMosixSource(node.proc_root, node.name), KernelProcessControl(node.proc_root, os.getpid)


def _memory(config: Config, node_id: int) -> tuple[INodeSource, IProcessControl]:
    from gomd.sources.memory import MemoryProcessControl, MemorySource

    source = MemorySource.for_demo(node_id, config.node.name, config.peers.address)
    return source, MemoryProcessControl(source)


SOURCES: Mapping[str, Callable[[Config, int], tuple[INodeSource, IProcessControl]]] = {
    "linux": _linux,
    "openmosix": _openmosix,
    "memory": _memory,
}


def _flat(config: Config) -> ISampleLog:
    from gomd.samplelogs.flat import FlatLog

    return FlatLog(config.log.path, config.log.rotate_bytes, config.log.keep)


def _none(config: Config) -> ISampleLog:
    from gomd.samplelogs.none import NoneLog

    return NoneLog()


SAMPLE_LOGS: Mapping[str, Callable[[Config], ISampleLog]] = {"flat": _flat, "none": _none}


def node_id_of(config: Config) -> int:
    """
    Return the id of this node: as configured, else as the openMosix kernel says, else from its address.

    :raises ConfigError: none of them gives one.
    """
    if config.node.id:
        return config.node.id
    if config.node.source == "openmosix":
        from gomd.sources.openmosix import OpenMosixSource

        try:
            return OpenMosixSource(config.node.proc_root, config.node.name).own_id()
        except SourceUnavailable as error:
            raise ConfigError([str(error)]) from error
    address = config.peers.address
    return id_of(primary_address() if address == "127.0.0.1" else address)


# -- joining them


def limits_of(config: Config) -> Limits:
    """Return what a connection of the telnet line may take."""
    telnet = config.telnet
    return Limits(
        Role[telnet.anonymous.upper()], telnet.max_connections, telnet.idle_timeout, telnet.stall_timeout,
        telnet.max_line,
    )  # fmt: skip


def telnet_endpoints(config: Config) -> tuple[Endpoint, ...]:
    """Return where the telnet line listens; the system's daemon has a socket that every user can reach."""
    endpoints = config.telnet.endpoints
    own = Unix(os.path.join(ROOT_STATE, "gomd.sock"))
    return (*endpoints, Unix(PUBLIC_SOCKET)) if own in endpoints else endpoints


def manhole_of(config: Config) -> tuple[Socket, Callable[..., Factory]] | None:
    """
    Return the manhole's socket and what makes its factory, None when it is off.

    :raises ConfigError: its port or its keys cannot be used, or conch is not installed.
    """
    endpoint, authorized_keys = config.manhole.endpoint, config.manhole.authorized_keys
    if endpoint is None:
        return None
    try:
        from gomd.protocols.manhole import Manhole
        from gomd.protocols.manhole_keys import read_authorized_keys, take_host_key
    except ImportError as error:
        raise ConfigError(
            [f"the manhole cannot be used without {error.name}: pip install gomd[manhole], or leave it off"]
        ) from error
    read_authorized_keys(authorized_keys)
    host_key = take_host_key(config.node.state_dir)
    return Socket("[manhole] endpoint", endpoint), partial(Manhole, authorized_keys, host_key)


def compose(
    config: Config,
    reactor: Any,
    sockets: tuple[Socket, ...],
    node_id: int,
    manhole: tuple[Socket, Callable[..., Factory]] | None = None,
) -> Daemon:
    """Return the daemon: every part made and joined, nothing running yet."""
    notifier, watchdog_period = take_environment(os.environ, os.getpid())
    daemon = Daemon(reactor, config, notifier)
    source, control = SOURCES[config.node.source](config, node_id)
    sample_log = SAMPLE_LOGS[config.log.kind](config)
    reading = Threads(reactor, reactor, "reading", size=12)
    asking = Threads(reactor, reactor, "asking", size=12)
    placeholder = Node(node_id, config.node.name, config.peers.address, Status.CONFIGURED | Status.UP)
    collector = Collector(
        source, sample_log, reading, reactor, placeholder,
        config.collector.period, config.collector.processes_period,
    )  # fmt: skip
    members = Alone(node_id, collector)
    events = Events()
    commands = Commands(reactor, reactor, config.commands, config.node.command_timeout)
    tokens = FileTokens(config.telnet.tokens_file, asking)
    counting: list[Any] = [collector, members, events, commands, tokens, sample_log]
    parts = Parts(
        clock=reactor,
        collector=collector,
        members=members,
        peers=NoPeers(),
        events=events,
        tree=Tree(source, members, asking),
        control=control,
        threads=asking,
        commands=commands,
        tokens=tokens,
        sample_log=sample_log,
        daemon=daemon,
        counters=lambda: chain.from_iterable(part.counters() for part in counting),
        periods=lambda: collector.periods,
        hides_others=lambda: bool(getattr(source, "hides_others", False)),
    )
    verbs = all_verbs()
    door = Door(Dispatch(verbs, parts), asking, reactor, limits_of(config), os.geteuid())
    counting.append(door)

    listening = Listening(reactor, sockets, door, collector.sampled)
    for service in (
        reading,
        asking,
        collector,
        listening,
        Sweeping(door, reactor),
        Watchdog(notifier, reactor, watchdog_period),
    ):
        service.setServiceParent(daemon)
    if manhole is not None:
        socket, make = manhole
        namespace = {"collector": collector, "cluster": members, "verbs": verbs, "config": config}
        console = Listening(reactor, (socket,), make(asking, reactor, namespace), collector.sampled)
        console.setServiceParent(daemon)
        _log.info("the manhole is at {endpoint}", endpoint=str(socket.endpoint))

    def started(_result: object = None) -> None:
        events.publish(
            Event(reactor.seconds(), EventKind.JOIN, node_id, config.node.name, "gomd started", node_id)
        )
        _log.info(
            "gomd {version} is node {id} {name}; the telnet line is at {endpoints}",
            version=VERSION, id=node_id, name=config.node.name,
            endpoints=", ".join(str(bound.endpoint) for bound in sockets),
        )  # fmt: skip

    def take_over(new: Config) -> None:
        """Use what can change while running."""
        door.limits = limits_of(new)
        tokens.path = new.telnet.tokens_file
        commands.set_commands(new.commands, new.node.command_timeout)
        collector.set_periods(new.collector.period, new.collector.processes_period)
        if daemon.observer is not None:
            daemon.observer.set_level(new.node.log_level)
        if hasattr(sample_log, "set_limits"):
            sample_log.set_limits(new.log.rotate_bytes, new.log.keep)

    daemon.started = lambda: collector.sampled.addCallback(started)
    daemon.stopped = sample_log.close
    daemon.take_over = take_over
    return daemon
