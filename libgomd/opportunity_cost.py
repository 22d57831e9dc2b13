"""
What a job costs on a node: the formula by which a daemon places jobs, and which a screen shows to people.

With n nodes up, the cost of a node is n to the power of the share of its memory that is in use, plus n to the
power of its load as a share of a ceiling that doubles whenever a load passes it. docs/placement.md has more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

#: The speed of a standard machine, as in `libgomd.model`, which takes long to import.
STANDARD_SPEED: Final = 15000
#: First ceiling of the load: one process on a standard machine.
FIRST_CEILING: Final = 100.0
#: Bytes that a job of unknown size is assumed to use. They count only in its cost: no node refuses it
#: because of them.
ASSUMED_MEMORY_BYTES: Final = 64 << 20
#: Largest exponent: 65535 to a larger power overflows a float. Above it the load itself decides.
_MAX_EXPONENT: Final = 60.0


def load_of_one(speed: int | None, cpus: int | None, standard_speed: int = STANDARD_SPEED) -> float:
    """Return the load that one busy process adds to a node with these processors."""
    return 100.0 * standard_speed / (max(1, speed or standard_speed) * max(1, cpus or 1))


def cost(nodes: int, memory_share: float, load_share: float) -> float:
    """Return the cost of one of ``nodes`` machines that uses these shares of memory and of the ceiling."""
    return _power(nodes, memory_share) + _power(nodes, load_share)


def _power(base: int, exponent: float) -> float:
    return math.pow(max(2, base), min(max(exponent, 0.0), _MAX_EXPONENT))


def ceiling_above(loads: Iterable[float]) -> float:
    """Return the ceiling that none of these loads exceeds."""
    ceiling, highest = FIRST_CEILING, max(loads, default=0.0)
    while ceiling < highest:
        ceiling *= 2
    return ceiling
