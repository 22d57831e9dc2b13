"""
`gomd.jobs.checkpoint.inspection` for a daemon that may never inspect a job: imported when first called.

The import takes a megabyte of memory. Each function blocks, so it runs on a thread; a migration calls one
before it freezes the job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from libgomd.errors import CannotMove

if TYPE_CHECKING:
    from types import ModuleType

    from gomd.jobs.checkpoint.probes import ProbeNotes
    from gomd.jobs.checkpoint.requirements import Capabilities, Requirements


def look(pid: int, supervisor: int, user: str, criu: str, notes: ProbeNotes | None = None) -> Requirements:
    """See `inspection.look`. :raises CannotMove: this installation of gomd is broken."""
    found: Requirements = _inspection().look(pid, supervisor, user, criu, notes)
    return found


def look_for_stays(pid: int, supervisor: int, criu: str) -> list[str]:
    """See `inspection.look_for_stays`. :raises CannotMove: this installation of gomd is broken."""
    found: list[str] = _inspection().look_for_stays(pid, supervisor, criu)
    return found


def read_offer(needs: Requirements, user: str, room: str, problem: str) -> Capabilities:
    """See `gomd.jobs.checkpoint.node_reader.read_offer`. :raises CannotMove: as `look` does."""
    found: Capabilities = _inspection().read_offer(needs, user, room, problem)
    return found


def withdraw(needs: Requirements, notes: ProbeNotes | None = None) -> None:
    """See `inspection.withdraw`. :raises CannotMove: this installation of gomd is broken."""
    _inspection().withdraw(needs, notes)


def _inspection() -> ModuleType:
    try:
        from gomd.jobs.checkpoint import inspection
    except ImportError as error:
        raise CannotMove(f"this installation of gomd is broken, install it again: {error}") from error
    return inspection
