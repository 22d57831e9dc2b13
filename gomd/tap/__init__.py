"""
`twistd gomd`: its options, and the one place where the parts of the daemon are chosen and joined.

`options` reads what was configured, `choices` has the parts that gomd.ini names, `peers` those that talk to
the other nodes, `compose` joins them, `service` takes ports and STATE first.
"""

from gomd.tap.compose import compose
from gomd.tap.options import Options
from gomd.tap.service import makeService

__all__ = ["Options", "compose", "makeService"]
