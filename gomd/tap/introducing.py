"""What a node that joins this one's cluster is told, for `gom invite`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from gomd.config import Config
from gomd.config.settings import GROUP, GROUP_IPV6, PeersSettings
from libgomd.endpoints import Tcp
from libgomd.wire.addresses import shown

#: The defaults of [peers], which a new node has by itself; they stand in gomd.spec.ini.
_PORT: Final = 5428
_HEARTBEAT: Final = 1.0
_MAX_NODES: Final = 4096
_ENGINE: Final = ("heartbeat",)
_GROUPS: Final = (GROUP, Tcp(GROUP_IPV6, GROUP.port))


def introduction(config: Config) -> Mapping[str, object]:
    """Return where the key of the cluster is, where its nodes are, and what they have alike."""
    peers = config.peers
    return {
        "key_file": peers.key_file[0] if peers.key_file else "",
        "keys": len(peers.key_file),
        "address": peers.address,
        "addresses": list(peers.addresses),
        "port": peers.port,
        "multicast": peers.discovery,
        "seeds": [shown(*seed) for seed in peers.seeds],
        "engine": ",".join(peers.engine),
        "agreed": dict(_agreed(peers)),
    }


def _agreed(peers: PeersSettings) -> Iterator[tuple[str, str]]:
    """Yield the settings that all nodes have alike and that are not the defaults, as gomd.ini has them."""
    if peers.port != _PORT:
        yield "peers.port", str(peers.port)
    if peers.discovery and peers.groups != _GROUPS:
        yield "peers.multicast", ", ".join(shown(*each) for each in peers.groups)
    if peers.heartbeat != _HEARTBEAT:
        yield "peers.heartbeat", f"{peers.heartbeat:g}"
    if peers.engine != _ENGINE:
        yield "peers.engine", ", ".join(peers.engine)
    if "serf" in peers.engine and peers.serf_rpc is not None:
        yield "peers.serf_rpc", shown(*peers.serf_rpc)
    if peers.max_nodes != _MAX_NODES:
        yield "peers.max_nodes", str(peers.max_nodes)
