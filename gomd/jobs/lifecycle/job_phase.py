"""The phases of a tracked job, and which may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final


class Phase(Enum):
    """The phase of a job, as far as this daemon knows."""

    STARTING = "It was asked for, and nothing has told yet that it runs."
    RUNNING = "It runs on its node; if the connection to it breaks, it is looked for there."
    LEAVING = "It is being moved from here: only the migration decides what a lost supervisor means."
    ARRIVING = "A frozen copy of it is here and may be resumed: it is not lost when its node is silent."
    ENDED = "Its exit status is known here; its supervisor waits to hear that this was collected."
    ENDED_LEAVING = "It ended while it was being moved: the migration hears of that before it is released."
    RELEASED = "This daemon does not track it any more; its connections are closed."


#: The phases that may follow each phase.
NEXT_PHASES: Final[Mapping[Phase, frozenset[Phase]]] = {
    Phase.STARTING: frozenset({Phase.RUNNING, Phase.RELEASED}),
    Phase.RUNNING: frozenset({Phase.LEAVING, Phase.ARRIVING, Phase.ENDED, Phase.RELEASED}),
    Phase.LEAVING: frozenset({Phase.RUNNING, Phase.ENDED_LEAVING, Phase.RELEASED}),
    Phase.ARRIVING: frozenset({Phase.RUNNING, Phase.ENDED, Phase.RELEASED}),
    Phase.ENDED: frozenset({Phase.RELEASED}),
    Phase.ENDED_LEAVING: frozenset({Phase.ENDED, Phase.RELEASED}),
    Phase.RELEASED: frozenset(),
}


class IllegalTransition(Exception):
    """A job cannot go from the one phase to the other: a bug in this daemon."""


def check_transition(old: Phase, new: Phase) -> None:
    """See whether ``new`` may follow ``old``. :raises IllegalTransition: it may not."""
    if new is not old and new not in NEXT_PHASES[old]:
        raise IllegalTransition(f"from {old.name} to {new.name}")
