"""Which nodes there are, found out by kinship. docs/membership.md says how; nothing else imports kinship."""

from gomd.cluster.swim.engine import Swim
from gomd.cluster.swim.making import Making, check_ports
from gomd.cluster.swim.running import Running

__all__ = ["Making", "Running", "Swim", "check_ports"]
