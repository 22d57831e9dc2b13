"""
The settings of a daemon as frozen values: what gomd.ini and the command line came to.

Every value is final: paths are absolute, the empty "choose for me" of a path or a name is resolved.
Durations are seconds, sizes bytes. gomd.ini says what each setting does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

from libgomd.endpoints import Endpoint, Tcp

#: What takes effect when a running daemon reads its configuration again; the rest needs a restart.
LIVE: Final = frozenset(
    {
        "node.log_level", "node.command_timeout",
        "telnet.anonymous", "telnet.tokens_file", "telnet.max_connections", "telnet.idle_timeout",
        "telnet.max_line", "telnet.stall_timeout",
        "peers.key_file", "peers.seeds",
        "collector.period", "collector.processes_period",
        "log.rotate_bytes", "log.keep",
        "commands",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """[node]. ``id`` 0: low 16 bits of the IPv4 address. ``speed`` 0: measure. ``sspeed`` 0: as kept."""

    id: int
    name: str
    speed: int
    sspeed: int
    source: str
    proc_root: str
    state_dir: str
    log_format: str
    log_level: str
    command_timeout: float


@dataclass(frozen=True, slots=True)
class TelnetSettings:
    """[telnet]. A `Tcp` endpoint with port 0 takes any free port."""

    endpoints: tuple[Endpoint, ...]
    anonymous: str
    tokens_file: str
    max_connections: int
    idle_timeout: float
    max_line: int
    stall_timeout: float


@dataclass(frozen=True, slots=True)
class PeersSettings:
    """[peers]. ``key_file``: none, one, or two while the key is changed; ``address`` is an IPv4 address."""

    address: str
    port: int
    discovery: bool
    multicast: Tcp
    seeds: tuple[Tcp, ...]
    key_file: tuple[str, ...]
    heartbeat: float
    engine: str
    map_file: str
    forget: float
    max_nodes: int


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    """[collector]."""

    period: float
    processes_period: float


@dataclass(frozen=True, slots=True)
class LogSettings:
    """[log]. ``path`` is the directory of the sample log."""

    kind: str
    path: str
    rotate_bytes: int
    keep: int


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """[http]. ``endpoint`` None: off."""

    endpoint: Endpoint | None


@dataclass(frozen=True, slots=True)
class ManholeSettings:
    """[manhole]. ``endpoint`` None: off; when it is on, ``authorized_keys`` names a file."""

    endpoint: Endpoint | None
    authorized_keys: str


@dataclass(frozen=True, slots=True)
class JobsSettings:
    """
    [jobs]. ``criu`` is a program, found in PATH when it has no slash; ``spool`` a directory.

    ``most_per_user`` 0: half of ``most``. ``reserve`` is in percent of ``most``. ``output_reserve`` 0: by the
    size of the disk.
    """

    criu: str
    spool: str
    balance: bool
    most: int
    most_per_user: int
    reserve: float
    output: int
    output_per_user: int
    output_total: int
    output_reserve: int


class Changes(NamedTuple):
    """Settings that differ, as ``section.key``: those that take effect now, and those at a restart."""

    live: tuple[str, ...]
    restart: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Config:
    """
    Everything that was configured.

    :ivar path: the file it came from, None without one.
    :ivar commands: the commands of `[commands]`: name to argv, whose first is an absolute path.
    """

    path: str | None
    node: NodeSettings
    telnet: TelnetSettings
    peers: PeersSettings
    collector: CollectorSettings
    log: LogSettings
    commands: Mapping[str, tuple[str, ...]]
    http: HttpSettings
    manhole: ManholeSettings
    jobs: JobsSettings

    def settings(self) -> Iterator[tuple[str, Any]]:
        """Every setting, as ``section.key`` and value; `[commands]` as one, ``commands``."""
        for section in fields(self):
            value = getattr(self, section.name)
            if section.name == "commands":
                yield section.name, dict(value)
            elif section.name != "path":
                for key in fields(value):
                    yield f"{section.name}.{key.name}", getattr(value, key.name)

    def changes(self, other: Config) -> Changes:
        """Return what is different in ``other``, sorted by whether a running daemon can take it over."""
        theirs = dict(other.settings())
        differ = [name for name, value in self.settings() if theirs[name] != value]
        return Changes(
            tuple(name for name in differ if name in LIVE),
            tuple(name for name in differ if name not in LIVE),
        )
