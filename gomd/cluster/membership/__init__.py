"""
Gossip membership with a failure detector: gomd's own engine, in the terms of SWIM, memberlist and serf.

`HeartbeatEngine` is the entry. docs/membership.md describes the whole protocol.
"""

from gomd.cluster.membership.admission import Anyone, IAdmission, MapAdmission
from gomd.cluster.membership.engine import HeartbeatEngine
from gomd.cluster.membership.settings import Settings
from gomd.cluster.membership.transport import Address, IPeerTransport

__all__ = ["Address", "Anyone", "HeartbeatEngine", "IAdmission", "IPeerTransport", "MapAdmission", "Settings"]
