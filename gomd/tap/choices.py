"""The parts that gomd.ini chooses: a name there is a key here, never something that gets imported by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from twisted.internet.protocol import Factory

from gomd.cluster.identity import id_of, primary_address
from gomd.config import Config
from gomd.interfaces import INodeSource, IProcessControl, ISampleLog
from gomd.protocols.door import Limits
from gomd.services.listening import Socket
from gomd.services.own_address import ANY
from libgomd.endpoints import PUBLIC_SOCKET, ROOT_STATE, Endpoint, Unix
from libgomd.errors import ConfigError, SourceUnavailable
from libgomd.model import Role


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
    Return the id of this node: as configured, else as the openMosix kernel or the map says, else from
    its address.

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
    if config.peers.engine == "map":
        from gomd.tap.nodemap import id_in_map

        return id_in_map(config)
    address = config.peers.address
    return id_of(primary_address() if address == "127.0.0.1" else own_address(config))


def own_address(config: Config) -> str:
    """Return the address at which the others reach this node now: of all, the primary one."""
    return primary_address() if config.peers.address == ANY else config.peers.address


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


def http_of(config: Config) -> tuple[Socket, Callable[..., Any]] | None:
    """
    Return the socket of the metrics and what makes their site, None when they are off.

    :raises ConfigError: the port cannot be used.
    """
    if config.http.endpoint is None:
        return None
    from gomd.protocols.http import MetricsSite

    return Socket("[http] endpoint", config.http.endpoint), MetricsSite


def manhole_of(config: Config) -> tuple[Socket, Callable[..., Factory]] | None:
    """
    Return the manhole's socket and what makes its factory, None when it is off.

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
    """Check the keys of the manhole, if it is on. :raises ConfigError: as `manhole_of`."""
    if config.manhole.endpoint is None:
        return
    try:
        from gomd.protocols.manhole import Manhole  # noqa: F401 - whether it is there
        from gomd.protocols.manhole_keys import read_authorized_keys
    except ImportError as error:
        raise ConfigError(
            [f"the manhole cannot be used without {error.name}: pip install gomd[manhole], or leave it off"]
        ) from error
    read_authorized_keys(config.manhole.authorized_keys)
