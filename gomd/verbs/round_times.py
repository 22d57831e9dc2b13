"""
When the rounds of watches are due: at whole multiples of the period by the wall clock.

Theory of operation. A daemon that watches five hundred nodes gets five hundred rounds a second. Spread over
the second, each of them wakes it up, and is read with cold caches; together they cost a quarter of that. So
each node sends its rounds at whole multiples of the period, by its own wall clock and without being told:
nodes whose clocks agree send together, whoever asks, and one whose clock is wrong only costs more. The nodes
send over `SPREAD` seconds, so that their packets do not meet all at once, and whoever merges the rounds of
others makes its own round a little later. Nothing but the moment of a round depends on the wall clock:
however it is changed, the next round is due within one and a half periods.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from twisted.internet.interfaces import IReactorTime

from libgomd.wallclock import Wall

#: Longest period in seconds whose rounds are aligned. Rarer ones are not worth a first pause that is longer
#: than the period.
MAX_ALIGNED_PERIOD: Final = 10.0
#: Seconds over which nodes send the rounds of one moment, and how many moments there are in them.
SPREAD: Final = 0.032
_PLACES: Final = 32
#: Seconds after that moment at which a merged watch makes its round of what the nodes have sent.
MERGING_DELAY: Final = 0.2


@dataclass(frozen=True, slots=True)
class RoundTimes:
    """
    When rounds are due.

    :ivar clock: whose seconds are given and returned. :ivar wall: the time by which rounds are aligned.
    :ivar delay: seconds behind each multiple of the period.
    """

    clock: IReactorTime
    wall: Wall
    delay: float

    def after(self, due: float, period: float) -> float:
        """Return when the next round is due after one that was due at ``due``: 0.5 to 1.5 periods later."""
        if period > MAX_ALIGNED_PERIOD:
            return due + period
        to_wall = self.wall() - self.clock.seconds() - self.delay
        count = math.ceil((due + period / 2 + to_wall) / period)
        # Bounded, whatever the two clocks say: floats of large numbers are not exact.
        return min(max(count * period - to_wall, due + period / 2), due + 1.5 * period)


def of_node(node: int, clock: IReactorTime, wall: Wall) -> RoundTimes:
    """Return when a node makes rounds of its own. :param node: its id, by which the nodes are spread."""
    return RoundTimes(clock, wall, (node - 1) % _PLACES * SPREAD / _PLACES)


def of_merging(clock: IReactorTime, wall: Wall) -> RoundTimes:
    """Return when a daemon makes rounds of what several nodes have sent."""
    return RoundTimes(clock, wall, MERGING_DELAY)
