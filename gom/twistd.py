"""The program that starts the daemon of this installation: `twistd`, which Debian calls `twistd3`."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Final

_NAMES: Final = ("twistd", "twistd3")


def find_twistd() -> str | None:
    """Return the path of the one beside this Python, else of one in PATH; None when there is none."""
    home = os.path.dirname(sys.executable)
    beside = (os.path.join(home, name) for name in _NAMES)
    for path in beside:
        if os.access(path, os.X_OK):
            return path
    return next(filter(None, map(shutil.which, _NAMES)), None)


def twistd_name() -> str:
    """Return what a person types to start it."""
    return os.path.basename(find_twistd() or _NAMES[0])
