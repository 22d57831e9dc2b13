"""What came of a run of criu: the reason in words when it has failed. Standard library only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from gomd.jobs.checkpoint import criu_process
from gomd.jobs.checkpoint.criu_log import explain, known_reason
from gomd.jobs.checkpoint.failure_logs import describe, keep
from libgomd.errors import CannotMove

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.page_relay import PageRelay

#: What a dump may have done when criu is killed, which nothing can undo: docs/migration-decision.md.
ENDED_IN_MIDDLE: Final = ", in the middle of its work: a job in which it just made a system call ends with it"


def judge(code: int, text: str, refused: str, directory: str, name: str, relay: PageRelay | None) -> None:
    """
    Check how criu has ended.

    :param code: its exit status. :param text: what it printed. :param refused: why it was not let go on.
    :param name: of its log: ``dump`` or ``restore``. :raises CannotMove: it has failed; a clause says why.
    """
    if refused:
        raise CannotMove(refused)
    if code < 0 and name == "dump":
        raise CannotMove(f"criu was ended by signal {-code}{ENDED_IN_MIDDLE}")
    if code and relay is not None and relay.failure:
        raise CannotMove(relay.failure)
    if code:
        unknown = f"criu was ended by signal {-code}" if code < 0 else ""
        log = _read_log(os.path.join(directory, f"{name}.log")) + text
        if not log and _is_full(directory):  # not even for the log
            unknown = "no space is left where the images are written"
        raise CannotMove(explain(log, unknown) if unknown else explain_failure(log, directory, name))


def check_images(directory: str) -> None:
    """Check that a dump has left images in ``directory``. Blocks. :raises CannotMove: it has not."""
    if not os.path.exists(os.path.join(directory, "inventory.img")):
        raise CannotMove("criu said it was done, but left no images")


def explain_failure(log: str, directory: str, name: str) -> str:
    """
    Return why criu failed, a clause; where there are no words for it, keep its log and name that. Blocks.

    :param directory: of the images. :param name: of the log: ``dump`` or ``restore``.
    """
    return known_reason(log) or describe(log, name, keep(directory, name, log))


def _read_log(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(criu_process.MAX_LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _is_full(directory: str) -> bool:
    try:
        return os.statvfs(directory).f_bavail == 0
    except OSError:
        return False
