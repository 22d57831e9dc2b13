"""Which nodes there are, found out by kinship. docs/membership.md says how; nothing else imports kinship."""

from gomd.cluster.swim.engine import Swim
from gomd.cluster.swim.runner import SwimRunner
from gomd.cluster.swim.setup import SwimSetup, check_ports

__all__ = ["Swim", "SwimRunner", "SwimSetup", "check_ports"]
