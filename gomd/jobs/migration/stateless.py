"""The part of a migrator that keeps no migrations across a restart of the daemon: its methods do nothing."""

from __future__ import annotations


class StatelessMigrator:
    """The part of `IMigrator` about the life of the daemon, for migrators that have nothing to remember."""

    def load(self) -> tuple[frozenset[str], frozenset[str]]:
        """See `IMigrator.load`. No job is leaving or arriving."""
        return frozenset(), frozenset()

    def start(self) -> None:
        """See `IMigrator.start`."""

    def stop(self) -> None:
        """See `IMigrator.stop`."""

    def node_down(self, node: int) -> None:
        """See `IMigrator.node_down`."""
