"""
The settings of a daemon as frozen values, made from gomd.ini and the command line.

Every value is final: paths are absolute, and defaults of paths and names are resolved. Durations are in
seconds, sizes in bytes. gomd.ini describes each setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

from libgomd.endpoints import Endpoint, Tcp

#: The groups of the announcements. ff15: for one site, not assigned by anybody; the rest is "gomd".
GROUP: Final = Tcp("239.192.0.1", 5429)
GROUP_IPV6: Final = "ff15::676f:6d64"

#: Settings that take effect when a running daemon reads its configuration again. Others need a restart.
LIVE: Final = frozenset(
    {
        "node.log_level", "node.command_timeout",
        "telnet.anonymous", "telnet.tokens_file", "telnet.max_connections", "telnet.idle_timeout",
        "telnet.max_line", "telnet.stall_timeout",
        "peers.admin_from_peers", "peers.key_file", "peers.seeds",
        "collector.period", "collector.processes_period", "collector.measures_period",
        "history.rotate_bytes", "history.keep", "history.max_bytes",
        "commands", "http.anonymous", "http.hosts",
    }
)  # fmt: skip


#: Names of fields that hold several values of one setting, and the name of the setting.
_SETTING_OF: Final = {"addresses": "address", "groups": "multicast"}


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
    """
    [peers]. ``key_file``: none (STATE/key), one, or two while it is changed.

    ``addresses``: one or two, that of IPv4 first. ``groups``: of IPv4 and of IPv6, in this order. ``engine``:
    one, or two while the cluster changes from one to the other. ``serf_rpc``: the administrator's Serf agent;
    None has gomd run ``serf_program``.
    """

    addresses: tuple[str, ...]
    port: int
    discovery: bool
    groups: tuple[Tcp, Tcp]
    seeds: tuple[Tcp, ...]
    key_file: tuple[str, ...]
    admin_from_peers: bool
    heartbeat: float
    engine: tuple[str, ...]
    map_file: str
    serf_program: str
    serf_rpc: Tcp | None
    serf_auth_file: str
    forget: float
    max_nodes: int
    fan_out: int

    @property
    def address(self) -> str:
        """The first of the addresses: that of IPv4 if there is one."""
        return self.addresses[0]

    @property
    def multicast(self) -> Tcp:
        """The multicast group of IPv4."""
        return self.groups[0]


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    """[collector]."""

    period: float
    processes_period: float
    measures_period: float


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """
    [history], which was [log]. ``kind`` has one or more of the stores, or only ``none``.

    ``file`` and ``max_bytes`` are those of this node's file. ``database`` is the connection string of the
    collectors' database, which has no password; ``password_file`` may have one. ``path`` is the directory of
    the flat files, which ``rotate_bytes`` and ``keep`` limit. ``commands`` is about command lines.
    """

    kind: tuple[str, ...]
    file: str
    max_bytes: int
    database: str
    password_file: str
    commands: str
    path: str
    rotate_bytes: int
    keep: int


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """
    [http]. ``endpoint`` None: off. ``anonymous`` auto: by the endpoint.

    ``certificate`` and ``key`` empty: gomd makes its own when ``tls`` is on. ``hosts`` are in lower case.
    """

    endpoint: Endpoint | None
    anonymous: str
    tls: bool
    certificate: str
    key: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GangliaSettings:
    """[ganglia]. ``endpoint`` None: off. ``cluster``: its name in Ganglia."""

    endpoint: Endpoint | None
    cluster: str


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
    private_tmp: int
    precopy_from: int
    carry_files: int
    carry_bytes: int
    carry_days: float


class Changes(NamedTuple):
    """Settings that differ, as ``section.key``: those that take effect now, and those that need a restart."""

    live: tuple[str, ...]
    restart: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Config:
    """
    The whole configuration.

    :ivar path: the file that was read, None without one.
    :ivar warnings: a sentence for each setting that is accepted and should be written otherwise.
    :ivar commands: argv of each command of `[commands]` by name; its first item is an absolute path.
    """

    path: str | None
    node: NodeSettings
    telnet: TelnetSettings
    peers: PeersSettings
    collector: CollectorSettings
    history: HistorySettings
    commands: Mapping[str, tuple[str, ...]]
    http: HttpSettings
    ganglia: GangliaSettings
    manhole: ManholeSettings
    jobs: JobsSettings
    warnings: tuple[str, ...] = ()

    def settings(self) -> Iterator[tuple[str, Any]]:
        """Yield every setting as ``section.key`` and value; `[commands]` is one setting, ``commands``."""
        for section in fields(self):
            value = getattr(self, section.name)
            if section.name == "commands":
                yield section.name, dict(value)
            elif section.name not in ("path", "warnings"):
                for key in fields(value):
                    name = _SETTING_OF.get(key.name, key.name)
                    yield f"{section.name}.{name}", getattr(value, key.name)

    def changes(self, other: Config) -> Changes:
        """Return the settings that differ in ``other``, split by whether a running daemon can apply them."""
        theirs = dict(other.settings())
        differ = [name for name, value in self.settings() if theirs[name] != value]
        return Changes(
            tuple(name for name in differ if name in LIVE),
            tuple(name for name in differ if name not in LIVE),
        )
