"""
`twistd gomd`: its options, and the one place where the parts of the daemon are chosen and joined.

`options` reads what was configured, and `service` takes STATE and the ports. `compose` then joins what four
builders make: `node` (this node and its collector), `network` (the peers), `job_parts` (jobs and their
migration) and `ways_in` (telnet, metrics, manhole). `choices` and `engines` have the parts that gomd.ini can
name.
"""

from twisted.application.service import IService

from gomd.tap.options import Options

__all__ = ["Options", "makeService"]


def makeService(options: Options) -> IService:
    """Return the daemon: see `gomd.tap.service.make_service`, which is imported when it is to be started."""
    from gomd.tap.service import make_service

    return make_service(options)
