"""Reads the cluster's keys and binds the peers' ports, before a daemon can talk to peers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from twisted.logger import Logger

from gomd.config import Config
from gomd.services.own_key import own_secret
from gomd.services.peer_sockets import PeerSockets
from gomd.tap.choices import meant_addresses, own_addresses
from gomd.tap.engines import check_ports_of_engines
from libgomd.derivation import ClusterKey, read_keys
from libgomd.errors import ConfigError

#: Largest number of streams from other nodes, for each of `gomd.protocols.peer_server.GROUPS`. Daemons get
#: two more for each job, because the number of jobs has its own limit.
MAX_STREAMS: Final[Mapping[str, int]] = {"daemons": 1024, "admins": 512, "users": 1024, "readers": 1024}
_log = Logger()


def read_keys_of(config: Config) -> tuple[ClusterKey, ...]:
    """
    Return the cluster's keys; without a key file, the key in STATE, which is made if it is missing. Blocks.

    :raises ConfigError: a key file cannot be used.
    """
    if config.peers.key_file:
        return read_keys(config.peers.key_file)
    return (ClusterKey.derive(own_secret(config.node.state_dir)),)


def max_streams(config: Config) -> dict[str, int]:
    """Return the largest number of streams from other nodes, by group."""
    return {**MAX_STREAMS, "daemons": MAX_STREAMS["daemons"] + 2 * config.jobs.most}


def peer_sockets(config: Config) -> PeerSockets | None:
    """
    Return the bound ports of the peers; None when another daemon already has the default port on loopback.

    :raises ConfigError: a port that was configured cannot be bound.
    """
    peers = config.peers
    try:
        groups = peers.groups if peers.discovery else ()
        sockets = PeerSockets(peers.addresses, peers.port, groups, meant_addresses(config))
        try:
            check_ports_of_engines(peers, sockets.port, own_addresses(config)[0])
        except ConfigError:
            sockets.close()
            raise
        return sockets
    except ConfigError as error:
        if (peers.addresses, peers.port) != (("127.0.0.1",), 5428):
            raise
        _log.warn("the peers are off: {error}", error=error)
        return None
