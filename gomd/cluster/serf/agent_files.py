"""The files of a Serf agent that gomd runs, in STATE/serf, and where it listens."""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gomd.cluster.one_address import bind_address
from libgomd.durable import replace_atomically
from libgomd.errors import ConfigError
from libgomd.private import create_private, make_private_directory, open_private

#: The agent listens, by UDP and TCP, at the peer port and this: the next two may be multicast's and swim's.
PORT_OFFSET: Final = 3
#: Names of files in STATE/serf.
CONFIG_FILE: Final = "agent.json"
KEYRING_FILE: Final = "keyring"
SNAPSHOT_FILE: Final = "snapshot"
NAME_FILE: Final = "name"
#: Maximum bytes of the file with the name.
_MAX_NAME_BYTES: Final = 64
#: Random bytes in the name of an agent, so that two nodes with one id are two members of Serf.
_NAME_BYTES: Final = 4
_AUTH_BYTES: Final = 32
#: How often the ports are tried before the start, and seconds in between.
_PORT_TRIES: Final = 11
_PORT_WAIT: Final = 0.2


@dataclass(frozen=True, slots=True)
class AgentFiles:
    """
    What an agent is started with.

    :ivar folder: STATE/serf. :ivar address: the first of `[peers] address`, at which it listens. :ivar port:
        the peer port.
    """

    folder: str
    node: int
    address: str
    port: int

    def write(
        self, keys: Sequence[bytes], tags: Mapping[str, str], advertise: str, drops_snapshot: bool = False
    ) -> tuple[str, int, str]:
        """
        Write all files anew. Blocks.

        :param keys: 32 bytes each; the first one seals.
        :param advertise: the address that other agents are told.
        :param drops_snapshot: whether to forget which agents there were, because the agent fails with that.
        :returns: host and port of the RPC, and its auth key, new each time.
        :raises OSError: they cannot be written, or no port is free.
        """
        make_private_directory(self.folder)
        if drops_snapshot:
            self._drop(SNAPSHOT_FILE)
        host, port = _free_port(self.address)
        auth = base64.urlsafe_b64encode(os.urandom(_AUTH_BYTES)).decode()
        ring = json.dumps([base64.b64encode(key).decode() for key in keys])
        self._write(KEYRING_FILE, ring)
        self._write(CONFIG_FILE, json.dumps(self._settings(tags, advertise, (host, port, auth)), indent=1))
        return host, port, auth

    def _settings(
        self, tags: Mapping[str, str], advertise: str, place: tuple[str, int, str]
    ) -> dict[str, Any]:
        host, port, auth = place
        bind = bind_address(self.address, advertise)
        settings = {
            "node_name": self._name(),
            "bind": join_host(bind, self.port + PORT_OFFSET),
            "rpc_addr": join_host(host, port),
            "rpc_auth": auth,
            "keyring_file": os.path.join(self.folder, KEYRING_FILE),
            "snapshot_path": os.path.join(self.folder, SNAPSHOT_FILE),
            "rejoin_after_leave": True,
            "leave_on_terminate": False,
            "skip_leave_on_interrupt": True,
            "disable_name_resolution": False,
            "replay_on_join": False,
            "log_level": "warn",
            "profile": "lan",
            "tags": dict(tags),
        }
        if advertise != bind:
            settings["advertise"] = join_host(advertise, self.port + PORT_OFFSET)
        return settings

    def _name(self) -> str:
        """Return the agent's name in Serf, made at the first start and kept."""
        path = os.path.join(self.folder, NAME_FILE)
        begin = f"gomd-{self.node}-"
        try:
            descriptor = open_private(path)
            try:
                name = os.read(descriptor, _MAX_NAME_BYTES).decode("ascii", "replace").strip()
            finally:
                os.close(descriptor)
            if name.startswith(begin) and len(name) == len(begin) + 2 * _NAME_BYTES and name.isascii():
                return name
        except OSError:
            pass
        name = agent_name(self.node, os.urandom(_NAME_BYTES))
        self._write(NAME_FILE, name + "\n")
        return name

    def _write(self, name: str, text: str) -> None:
        replace_atomically(os.path.join(self.folder, name), text.encode())

    def _drop(self, name: str) -> None:
        path = os.path.join(self.folder, name)
        os.close(create_private(path))
        os.unlink(path)

    @property
    def config(self) -> str:
        """The path of the agent's configuration."""
        return os.path.join(self.folder, CONFIG_FILE)


def agent_name(node: int, random: bytes) -> str:
    """Return the name of the agent of a node in Serf."""
    return f"gomd-{node}-{random.hex()}"


def join_host(host: str, port: int) -> str:
    """Return an address as Go writes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_of_gomd(member: str) -> bool:
    """Return whether a member of Serf has the name of an agent that gomd runs."""
    return member.startswith("gomd-") and member.count("-") == 2


def _free_port(address: str) -> tuple[str, int]:
    """Return a loopback address and a TCP port of it that is free now."""
    host = address if address.startswith("127.") else "127.0.0.1"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return host, int(probe.getsockname()[1])


def check_serf_ports(address: str, port: int) -> None:
    """
    Check that the ports of the agent are free, for the peer port ``port``. Blocks, for two seconds at most:
    the agent of a daemon that was killed may just be ending.

    :raises ConfigError: they are not; one sentence says why.
    """
    try:
        for tries_left in reversed(range(_PORT_TRIES)):
            try:
                _bind_once(address, port + PORT_OFFSET)
                return
            except OSError:
                if not tries_left:
                    raise
            time.sleep(_PORT_WAIT)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "there is no such port"
        where = join_host(address, port + PORT_OFFSET)
        raise ConfigError(
            [
                f"engine serf cannot use udp and tcp {where} ({reason}): its agent listens {PORT_OFFSET} "
                "above [peers] port: change that, or stop what listens there"
            ]
        ) from error


def _bind_once(address: str, port: int) -> None:
    """:raises OSError: one of the two ports cannot be used."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
