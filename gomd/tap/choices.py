"""The parts that gomd.ini chooses by name. Each name is a key of a table here; it is never imported."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial

from twisted.internet.protocol import Factory

from gomd.cluster.identity import id_of, id_of_machine, primary_address, read_machine_id
from gomd.config import Config
from gomd.interfaces import IHistory, INodeSource, IProcessControl, ISampleLog
from gomd.protocols.telnet_factory import Limits
from gomd.services.listening import Socket
from gomd.sources.addresses import primary_address_ipv6
from libgomd.endpoints import PUBLIC_SOCKET, ROOT_STATE, SOCKET_NAME, Endpoint, Unix
from libgomd.errors import ConfigError, SourceUnavailable
from libgomd.installation import installation
from libgomd.model import Role
from libgomd.wallclock import Wall, wall_clock
from libgomd.wire.addresses import for_others, is_ipv6, is_unspecified


def _linux(config: Config, node_id: int) -> tuple[INodeSource, IProcessControl]:
    from gomd.sources.control import KernelProcessControl
    from gomd.sources.linux.source import LinuxSource

    node = config.node
    source = LinuxSource(
        node_id, node.name, config.peers.address, node.proc_root, node.state_dir,
        speed=node.speed or None, sspeed=node.sspeed or None,
    )  # fmt: skip
    return source, KernelProcessControl(node.proc_root, os.getpid)


def _openmosix(config: Config, node_id: int) -> tuple[INodeSource, IProcessControl]:
    from gomd.sources.control import KernelProcessControl
    from gomd.sources.openmosix.source import OpenMosixSource

    node = config.node
    return OpenMosixSource(node.proc_root, node.name), KernelProcessControl(node.proc_root, os.getpid)


def _memory(config: Config, node_id: int) -> tuple[INodeSource, IProcessControl]:
    from gomd.sources.memory import MemorySource
    from gomd.sources.memory_control import MemoryProcessControl

    source = MemorySource.for_demo(node_id, config.node.name, config.peers.address, wall_clock)
    return source, MemoryProcessControl(source)


SOURCES: Mapping[str, Callable[[Config, int], tuple[INodeSource, IProcessControl]]] = {
    "linux": _linux,
    "openmosix": _openmosix,
    "memory": _memory,
}


def _flat(config: Config, node_id: int, wall: Wall) -> tuple[ISampleLog, IHistory | None]:
    from gomd.history.flat import FlatLog

    history = config.history
    return FlatLog(history.path, history.rotate_bytes, history.keep), None


def _none(config: Config, node_id: int, wall: Wall) -> tuple[ISampleLog, IHistory | None]:
    from gomd.history.none import NoneLog

    return NoneLog(), None


def _sqlite(config: Config, node_id: int, wall: Wall) -> tuple[ISampleLog, IHistory | None]:
    from gomd.history.sqlite import SqliteHistory
    from gomd.history.sqlite.file import Unusable, take_lock

    history = config.history
    try:
        lock = take_lock(history.file)
    except Unusable as error:
        raise ConfigError([f"[history] file: {error}"]) from error
    except OSError:
        lock = -1  # the disk cannot be written now: the store says so, and tries again, also to lock it
    gap = max(60.0, 3 * config.collector.processes_period)
    store = SqliteHistory(history.file, node_id, history.max_bytes, wall, lock, gap, locks_later=lock < 0)
    return store, store.reader


def _postgresql(config: Config, node_id: int, wall: Wall) -> tuple[ISampleLog, IHistory | None]:
    """The file of this node, which is collected as those of the others are, beside the database."""
    from gomd.tap.databases import reader_of

    store, file = _sqlite(config, node_id, wall)
    assert file is not None
    return store, reader_of(config, node_id, file)


HISTORIES: Mapping[str, Callable[[Config, int, Wall], tuple[ISampleLog, IHistory | None]]] = {
    "postgresql": _postgresql,
    "sqlite": _sqlite,
    "flat": _flat,
    "none": _none,
}


def history_of(config: Config, node_id: int, wall: Wall) -> tuple[ISampleLog, IHistory]:
    """
    Return what writes the past, to all stores of `[history] kind`, and what reads it.

    :raises ConfigError: another daemon writes the same database.
    """
    from gomd.history.none import NoHistory

    kinds = [
        kind for kind in config.history.kind if kind != "sqlite" or "postgresql" not in config.history.kind
    ]
    made = [HISTORIES[kind](config, node_id, wall) for kind in kinds]
    reader = next((reads for _writes, reads in made if reads is not None), None)
    writer = made[0][0]
    if len(made) > 1:
        from gomd.history.several import SeveralLogs

        writer = SeveralLogs([writes for writes, _reads in made])
    if config.history.commands != "full" and config.history.kind != ("none",):
        from gomd.history.commands import WithoutCommands

        writer = WithoutCommands(writer, names=config.history.commands == "name")
    return writer, NoHistory() if reader is None else reader


def node_id_of(config: Config) -> int:
    """
    Return the id of this node: the configured one, else that of the openMosix kernel or of the map, else one
    from its IPv4 address, else one from the machine id.

    :raises ConfigError: none of these gives an id.
    """
    if config.node.id:
        return config.node.id
    if config.node.source == "openmosix":
        from gomd.sources.openmosix.source import OpenMosixSource

        try:
            return OpenMosixSource(config.node.proc_root, config.node.name).own_id()
        except SourceUnavailable as error:
            raise ConfigError([str(error)]) from error
    if "map" in config.peers.engine:
        from gomd.tap.nodemap import id_in_map

        return id_in_map(config)
    address = own_addresses(config)[0]
    if is_ipv6(address):
        return id_of_machine(read_machine_id())
    return id_of(primary_address() if address == "127.0.0.1" else address)


def own_addresses(config: Config) -> tuple[str, ...]:
    """
    Return the addresses at which the other nodes reach this one, IPv4 first: for 0.0.0.0 and ``::``, those of
    the default routes. Where both are set and the machine has one of the two only, it is that one.
    """
    return for_others([*meant_addresses(config).values()])


def meant_addresses(config: Config) -> dict[str, str]:
    """Return for each address of `[peers] address` the one that it means now: another one for 0.0.0.0 and
    ``::``."""
    defaults = default_addresses()
    return {
        each: defaults[is_ipv6(each)] if is_unspecified(each) else each for each in config.peers.addresses
    }


def default_addresses() -> tuple[str, str]:
    """Return the addresses that the default routes of IPv4 and IPv6 use, loopback addresses for none."""
    return primary_address(), primary_address_ipv6()


def limits_of(config: Config) -> Limits:
    """Return the limits of connections of the telnet line."""
    telnet = config.telnet
    return Limits(
        Role[telnet.anonymous.upper()], telnet.max_connections, telnet.idle_timeout, telnet.stall_timeout,
        telnet.max_line,
    )  # fmt: skip


def telnet_endpoints(config: Config, runtime_directory: str = "") -> tuple[Endpoint, ...]:
    """
    Return where the telnet line listens; root's daemon also has a socket that every user can reach.

    :param runtime_directory: the directory of that socket under systemd, empty without systemd.
    """
    endpoints = config.telnet.endpoints
    own = Unix(os.path.join(config.node.state_dir, SOCKET_NAME))
    if own not in endpoints:
        return endpoints
    public = None
    if runtime_directory:
        public = Unix(os.path.join(runtime_directory, SOCKET_NAME))
    elif config.node.state_dir == ROOT_STATE:
        public = Unix(PUBLIC_SOCKET)
    return endpoints if public is None or public in endpoints else (*endpoints, public)


def ganglia_of(config: Config) -> tuple[Socket, Callable[..., Factory]] | None:
    """
    Return the socket of the Ganglia port and a function that makes its factory, None if it is off.

    :raises ConfigError: its port cannot be used.
    """
    endpoint = config.ganglia.endpoint
    if endpoint is None:
        return None
    from gomd.protocols.ganglia import GangliaFactory

    return Socket("[ganglia] endpoint", endpoint), partial(GangliaFactory, config.ganglia.cluster)


def manhole_of(config: Config) -> tuple[Socket, Callable[..., Factory]] | None:
    """
    Return the manhole's socket and a function that makes its factory, None if it is off.

    :raises ConfigError: its port or its keys cannot be used, or conch is not installed.
    """
    endpoint, authorized_keys = config.manhole.endpoint, config.manhole.authorized_keys
    if endpoint is None:
        return None
    check_manhole(config)
    from gomd.protocols.manhole import Manhole
    from gomd.protocols.manhole_keys import take_host_key

    host_key = take_host_key(config.node.state_dir)
    return Socket("[manhole] endpoint", endpoint), partial(Manhole, authorized_keys, host_key)


def check_manhole(config: Config) -> None:
    """Check the keys of the manhole, if it is on. :raises ConfigError: as in `manhole_of`."""
    if config.manhole.endpoint is None:
        return
    try:
        from gomd.protocols.manhole import Manhole  # noqa: F401 - is it installed?
        from gomd.protocols.manhole_keys import read_authorized_keys
    except ImportError as error:
        raise ConfigError(
            [
                f"the manhole cannot be used without {error.name}: {installation().libraries('manhole')}, "
                "or leave it off"
            ]
        ) from error
    read_authorized_keys(config.manhole.authorized_keys)
