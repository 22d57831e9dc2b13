"""The command migrate: moves a process to a node, home, or to the best node, as openMosix's did."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gom.openmosix.program import DONE, Failed, connect, find_node, run
from libgomd.errors import Conflict, NotAllowed, NotFound, NotPossible
from libgomd.wire.text import printable

USAGE = "usage: migrate PID NODE|home|balance"


def main() -> int:
    """Run the command: the entry point."""
    return run("migrate", migrate, sys.argv[1:])


def migrate(argv: Sequence[str]) -> int:
    """Do what ``argv`` says and return the exit status. Prints nothing on success. Blocks."""
    if list(argv) in (["-h"], ["--help"]):
        print(USAGE)
        return DONE
    if len(argv) != 2 or not (argv[0].isascii() and argv[0].isdigit() and len(argv[0]) <= 10):
        raise Failed(USAGE)
    pid, target = int(argv[0]), argv[1]
    with connect() as gomd:
        if target not in ("home", "balance"):
            target = str(find_node(gomd, target).id)
        try:
            gomd.migrate(pid, "best" if target == "balance" else target)
        except NotFound as error:
            raise Failed(_with_reason(f"No such process ({pid}).", error)) from None
        except NotAllowed as error:
            raise Failed(_with_reason("Permission denied.", error)) from None
        except Conflict as error:
            raise Failed(_with_reason("Process was already sent elsewhere.", error)) from None
        except NotPossible as error:
            raise Failed(_with_reason(f"Process #{pid} is unmovable.", error)) from None
    return DONE


def _with_reason(words: str, error: Exception) -> str:
    """Return openMosix's message, and below it the reason that the daemon gave."""
    return f"{words}\nmigrate: {printable(str(error))}"
