"""The database of the history, where `[history] kind` has postgresql: its checks, reader and collector."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service

from gomd.config import Config
from gomd.interfaces import IHistory
from libgomd.errors import ConfigError
from libgomd.installation import installation
from libgomd.wallclock import Wall

if TYPE_CHECKING:
    from gomd.history.postgresql.connecting import Connect
    from gomd.tap.network import Network
    from gomd.tap.no_network import NoNetwork
    from gomd.tap.node import NodeParts


def check_database(config: Config) -> None:
    """
    Check what is known of the database without asking it: psycopg, and the file with the password. Blocks.

    :raises ConfigError: one of them cannot be used.
    """
    if "postgresql" not in config.history.kind:
        return
    _connector(config)
    from gomd.history.postgresql.credentials import read_password

    read_password(config.history.password_file)


def reader_of(config: Config, node_id: int, file: IHistory) -> IHistory:
    """
    Return what reads the database, and ``file``, this node's own.

    :raises ConfigError: as in `check_database`.
    """
    check_database(config)
    from gomd.history.postgresql.fallback import DatabaseOrFile
    from gomd.history.postgresql.reader import DatabaseReader

    gap = max(60.0, 3 * config.collector.processes_period)
    return DatabaseOrFile(node_id, DatabaseReader(node_id, gap, _connector(config)), file)


def collecting_of(
    config: Config, reactor: Any, node: NodeParts, network: Network | NoNetwork, wall: Wall
) -> tuple[Service, ...]:
    """Return what collects, with its threads; nothing where this node collects nothing."""
    if "postgresql" not in config.history.kind:
        return ()
    from gomd.history.postgresql.collected import CollectedHistory
    from gomd.services.collecting import Collecting
    from gomd.services.threads import Threads

    threads = Threads(reactor, reactor, "database", size=2, spare=8)
    database = partial(CollectedHistory, int(network.members.own_id), _connector(config), wall)
    collecting = Collecting(
        database, node.history, network.members, network.peers, threads, node.threads.reading, reactor
    )
    return threads, collecting


def _connector(config: Config) -> Connect:
    try:
        from gomd.history.postgresql.connecting import connector
    except ImportError as error:
        raise ConfigError(
            [
                f"[history] kind: postgresql cannot be used without {error.name}: "
                f"{installation().libraries('postgresql')}, or leave it out"
            ]
        ) from error
    from gomd.history.postgresql.conninfo import parse_conninfo

    return connector(parse_conninfo(config.history.database), config.history.password_file)
