"""Looks up the names of the seeds while the daemon runs, on threads of its own."""

from __future__ import annotations

from twisted.application.service import Service

from gomd.cluster.seeds import Seeds
from gomd.services.threads import Threads

#: Names that are looked up at once. A name server that hangs occupies at most so many threads.
MAX_CONCURRENT_LOOKUPS = 4


class SeedLookup(Service):
    """:param threads: started and stopped here, so that no other calls wait for a name server."""

    def __init__(self, seeds: Seeds, threads: Threads) -> None:
        self._seeds = seeds
        self._threads = threads

    def startService(self) -> None:
        """Look up every name now, and periodically from now on."""
        super().startService()
        self._threads.startService()
        self._seeds.start()

    def stopService(self) -> None:
        """Stop looking names up."""
        super().stopService()
        self._seeds.stop()
        self._threads.stopService()
