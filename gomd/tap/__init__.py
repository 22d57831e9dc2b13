"""
`twistd gomd`: its options, and the one place where the parts of the daemon are chosen and joined.

`options` reads what was configured, and `service` takes STATE and the ports. `compose` then joins what four
builders make: `node` (this node and its collector), `network` (the peers), `job_parts` (jobs and their
migration) and `ways_in` (telnet, metrics, manhole). `choices` and `engines` have the parts that gomd.ini can
name.
"""

from gomd.services.own_memory import forget_modules

forget_modules()  # before the daemon's own are imported, so that these take their place
# ruff: noqa: E402
from gomd.tap.compose import compose
from gomd.tap.options import Options
from gomd.tap.service import makeService

__all__ = ["Options", "compose", "makeService"]
