"""
When each step of a migration was taken, and how long the job stood still. No I/O.

The source keeps it: it sees every step but the copy's first instruction, one message before the last.
"""

from __future__ import annotations

import resource
import struct
from collections.abc import Mapping
from typing import Final

from twisted.internet.interfaces import IReactorTime

from gomd.interfaces import MoveCost
from gomd.jobs.checkpoint.protobuf import readable_values

#: The file of criu's images that says how long the job was frozen for its dump.
STATS_FILE: Final = "stats-dump"
PAGE: Final = resource.getpagesize()
_MAGIC: Final = struct.pack("=II", 0x55105940, 0x57093306)
#: Fields of criu's message: the dump's part; in it the microseconds of freezing and of being frozen, and the
#: pages that were written.
_DUMP, _FREEZING, _FROZEN, _WRITTEN = 1, 1, 2, 7


class Timeline:
    """
    One migration, from its beginning on.

    :ivar steps: names, and milliseconds since the beginning.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.steps: list[tuple[str, float]] = []
        self._bytes: int | None = None
        self._precopied = 0
        self._clock = clock
        self._began = clock.seconds()
        self._stopped_at: float | None = None
        self._stopped: float | None = None

    def note(self, step: str) -> None:
        """Note that a step was taken now."""
        self.steps.append((step, round((self._clock.seconds() - self._began) * 1000, 1)))

    def note_precopy(self, sent: int, seconds: float) -> None:
        """Note what was sent since the last step, while the job ran. :param sent: bytes, 0 for none."""
        if sent:
            self._precopied = sent
            before = self.steps[-1][1] if self.steps else 0.0
            self.steps.append(("precopied", round(before + seconds * 1000, 1)))

    def note_dump(self, images: Mapping[str, bytes], dumped_at: float) -> None:
        """
        Note how long the job had been stopped when its dump was complete, and how much there is of it.

        :param images: criu's, without the memory. :param dumped_at: when the dump was complete.
        """
        dump = parse_stats(images.get(STATS_FILE, b""))
        frozen = sum(value for name in (_FREEZING, _FROZEN) if isinstance(value := dump.get(name), int))
        pages = dump.get(_WRITTEN, 0)
        if dump:
            self._stopped_at = dumped_at - frozen / 1e6
        self._bytes = sum(map(len, images.values())) + (pages if isinstance(pages, int) else 0) * PAGE

    def note_running(self) -> None:
        """Note that the copy runs."""
        self.note("running")
        if self._stopped_at is not None and self._stopped is None:
            self._stopped = self._clock.seconds() - self._stopped_at

    def cost(self) -> MoveCost:
        """Return the cost of the migration."""
        stopped = None if self._stopped is None else round(self._stopped, 3)
        return MoveCost(round(self._clock.seconds() - self._began, 3), stopped, self._bytes, self._precopied)

    def __str__(self) -> str:
        return ", ".join(f"{step} {milliseconds:g}" for step, milliseconds in self.steps)


def parse_stats(stats: bytes) -> dict[int, int | bytes]:
    """Return criu's statistics of a dump by their field numbers; empty when there are none."""
    if not stats.startswith(_MAGIC):
        return {}
    [dump] = readable_values(stats[len(_MAGIC) + 4 :]).get(_DUMP, [b""])[:1]
    return (
        {name: found[0] for name, found in readable_values(dump).items()} if isinstance(dump, bytes) else {}
    )
