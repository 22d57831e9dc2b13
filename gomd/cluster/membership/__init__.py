"""Which nodes there are, found out by heartbeats and probes. docs/membership.md has the whole protocol."""

from gomd.cluster.membership.admission import Anyone, IRoll, MapRoll
from gomd.cluster.membership.engine import Heartbeat
from gomd.cluster.membership.settings import Settings
from gomd.cluster.membership.transport import Address, IPeerTransport

__all__ = ["Address", "Anyone", "Heartbeat", "IPeerTransport", "IRoll", "MapRoll", "Settings"]
