"""Which nodes there are, found out by heartbeats and probes. docs/membership.md has the whole protocol."""

from gomd.cluster.membership.admission import Anyone, IAdmission, MapAdmission
from gomd.cluster.membership.engine import HeartbeatEngine
from gomd.cluster.membership.settings import Settings
from gomd.cluster.membership.transport import Address, IPeerTransport

__all__ = ["Address", "Anyone", "HeartbeatEngine", "IAdmission", "IPeerTransport", "MapAdmission", "Settings"]
