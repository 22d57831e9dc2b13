"""Which nodes there are, found out by kinship. docs/membership.md says how; nothing else imports kinship."""

from gomd.cluster.swim.engine import Swim
from gomd.cluster.swim.runner import Running
from gomd.cluster.swim.setup import Making, check_ports

__all__ = ["Making", "Running", "Swim", "check_ports"]
