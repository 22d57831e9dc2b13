"""The program that starts the daemon of this installation: `twistd`, which Debian calls `twistd3`."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Final

_NAMES: Final = ("twistd", "twistd3")


def find_twistd(python: str = sys.executable, path: str | None = None) -> str | None:
    """
    Return the path of the one beside ``python``, else of one in ``path``; None when there is none.

    :param path: directories as in PATH, which is used by default.
    """
    home = os.path.dirname(python)
    beside = (os.path.join(home, name) for name in _NAMES)
    for program in beside:
        if os.access(program, os.X_OK):
            return program
    return next(filter(None, (shutil.which(name, path=path) for name in _NAMES)), None)


def twistd_name() -> str:
    """Return what a person types to start it."""
    return os.path.basename(find_twistd() or _NAMES[0])
