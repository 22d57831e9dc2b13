"""
The swim engine: membership by the library kinship, which only this package imports.

See docs/membership.md.
"""

from gomd.cluster.swim.engine import Swim
from gomd.cluster.swim.runner import SwimRunner
from gomd.cluster.swim.setup import SwimSetup, check_ports

__all__ = ["Swim", "SwimRunner", "SwimSetup", "check_ports"]
