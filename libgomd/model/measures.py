"""Values of a node that are many, of many kinds: file systems, CPU time by mode, sockets, temperatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Measure:
    """
    One value, named by the conventions of Prometheus.

    :ivar name: with its unit, such as ``filesystem_free_bytes``; a counter has no ``_total`` here.
    :ivar value: in that unit. :ivar labels: which of several, such as the mount point.
    :ivar kind: ``gauge``, or ``counter`` for what only grows since the boot.
    :ivar text: what it means, in a few words. :ivar kept: whether the history keeps it.
    """

    JSON: ClassVar[tuple[str, ...]] = ("name", "labels", "value", "kind", "text")

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    kind: str = "gauge"
    text: str = ""
    kept: bool = False

    @property
    def key(self) -> str:
        """Its name in the history: the name, and the labels behind a colon."""
        return ":".join((self.name, *self.labels.values()))
