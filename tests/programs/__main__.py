"""
Runs programs and writes their rows of docs/programs.md: all (`make programs`), or those that are named.

Exit status: 0 when each program did what is expected of it, otherwise 1.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from tests.integration import hosts
from tests.integration.test_criu import find_criu
from tests.programs.definitions import ALL
from tests.programs.hosts import two_hosts
from tests.programs.outcome import Outcome, try_program
from tests.programs.table import PATH, figures, read, update


def main(names: Sequence[str]) -> int:
    """Run the programs of these names, or all."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the hosts are removed
    known = {program.name: program for program in ALL}
    if unknown := [name for name in names if name not in known]:
        print(f"there is no program {unknown[0]!r}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    if reason := hosts.missing():
        print(reason, file=sys.stderr)
        return 1
    outcomes = []
    with two_hosts(find_criu()) as network:
        for program in [known[name] for name in names] or ALL:
            outcomes.append(try_program(program, network))
            print(_line(outcomes[-1]), flush=True)
            page = PATH.read_text() if PATH.exists() else ""
            PATH.write_text(update(page, outcomes, ALL))
    print(figures(read(PATH.read_text())))
    return 0 if all(outcome.is_right for outcome in outcomes) else 1


def _line(outcome: Outcome) -> str:
    moves = ", ".join(f"{attempt.seconds:.2f} s" for attempt in outcome.attempts)
    return (
        f"{'ok ' if outcome.is_right else 'NOT'} {outcome.program.name:22} {outcome.word:13} "
        f"{outcome.unmoved:5.1f} s, {outcome.moved:5.1f} s; {moves} {outcome.text}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
