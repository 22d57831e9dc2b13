"""What every membership engine is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gomd.config import Config
from gomd.interfaces import IEvents
from gomd.protocols.peers import PeerProtocol
from gomd.services.collector import Collector
from libgomd.derivation import ClusterKey
from libgomd.wallclock import Wall


@dataclass(frozen=True)
class EngineSetup:
    """
    What an engine is made from.

    :ivar port: of this node's datagrams and streams. :ivar wall: gives the time of events.
    """

    config: Config
    reactor: Any
    port: int
    keys: tuple[ClusterKey, ...]
    protocol: PeerProtocol
    collector: Collector
    events: IEvents
    wall: Wall


def derived(engine: str, keys: Sequence[ClusterKey]) -> tuple[bytes, ...]:
    """Return the keys with which an engine seals traffic of its own; none for one without such traffic."""
    if engine == "swim":
        return tuple(key.swim for key in keys)
    return tuple(key.serf for key in keys) if engine == "serf" else ()
