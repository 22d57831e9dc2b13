"""
CPU affinity of a job's threads, here and on a node with other processors. No I/O but in `usable`.

A thread that may run on all processors of its node may run on all of the next one. One that is bound to
some is bound to those of the same numbers there, as far as there are such, and else to others in turn. What
the thread was bound to at first is kept, and counts again on the next node.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from typing import Final

#: Minimum number of processors to ask for, as their numbers may have gaps. The kernel ignores absent ones.
_MIN_PROCESSORS: Final = 1024


def usable() -> frozenset[int]:
    """
    Return the processors that a process of this node may use, by binding the calling one to all of them.

    :raises OSError: the kernel does not tell.
    """
    with suppress(OSError, ValueError):
        os.sched_setaffinity(0, range(max(_MIN_PROCESSORS, os.sysconf("SC_NPROCESSORS_CONF"))))
    return frozenset(os.sched_getaffinity(0))


def bound(allowed: Collection[int], usable_here: Collection[int]) -> tuple[int, ...]:
    """Return the processors that a thread is bound to, sorted; empty when it may use all."""
    return () if set(usable_here) <= set(allowed) else tuple(sorted(allowed))


def mapped(wanted: Collection[int], usable_here: Collection[int]) -> frozenset[int]:
    """
    Return the processors of this node for a thread that is to be bound to ``wanted``; empty means all.

    :param usable_here: not empty.
    """
    if not wanted:
        return frozenset(usable_here)
    here = sorted(usable_here)
    return frozenset(wanted) & frozenset(here) or frozenset(here[number % len(here)] for number in wanted)
