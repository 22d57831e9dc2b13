"""Looks the names of the seeds up while the daemon runs, on threads of their own."""

from __future__ import annotations

from twisted.application.service import Service

from gomd.cluster.seeds import Seeds
from gomd.services.threads import Threads

#: Names that are looked up at once: a name server that hangs holds so many threads at most.
LOOKUPS = 4


class SeedLookup(Service):
    """:param threads: started and stopped here; nobody else's calls wait for a name server."""

    def __init__(self, seeds: Seeds, threads: Threads) -> None:
        self._seeds = seeds
        self._threads = threads

    def startService(self) -> None:
        """Look every name up now, then again and again."""
        super().startService()
        self._threads.startService()
        self._seeds.start()

    def stopService(self) -> None:
        """Look no more up."""
        super().stopService()
        self._seeds.stop()
        self._threads.stopService()
