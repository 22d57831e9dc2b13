"""
Runs a program that is killed when the process that started this one ends. Standard library only.

It is run as a script, ``dies_with_parent.py PARENT PROGRAM ARGUMENTS``, and becomes the program. PARENT is
the process id of who starts it: if that one has ended before the kernel was asked to kill us with it, nothing
runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(words: list[str]) -> int:
    """Become the program; returns an exit status if that fails."""
    parent, program = int(words[0]), words[1]
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        return 1
    if os.getppid() != parent:
        return 1
    try:
        os.execve(program, words[1:], {})  # noqa: S606 - an absolute path, no shell
    except OSError as error:
        sys.stderr.write(f"cannot run {program}: {error.strerror}\n")
    return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
