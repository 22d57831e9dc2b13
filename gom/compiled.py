"""Hands `gom run`, `gom attach` and mosrun over to gomrun, the same program compiled, where there is one."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from typing import Final

from libgomd.version import VERSION

#: Where `make -C clients/c install` puts it: for this Python's prefix, which may be a virtual environment,
#: and for the usual ones. PATH is never looked at.
PLACES: Sequence[str] = tuple(
    dict.fromkeys(f"{prefix}/libexec/gomd" for prefix in (sys.prefix, "/usr/local", "/usr"))
)
_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def find(places: Sequence[str], uid: int, version: str = VERSION) -> str:
    """
    Return the path of the gomrun of this version, empty when there is none. Blocks briefly.

    One that others than root and user ``uid`` could have changed is passed over: it gets the environment.

    :param places: the directories in which it is looked for.
    """
    for place in places:
        path = os.path.realpath(f"{place}/gomrun-{version}")
        try:
            found = os.stat(path)
            is_ours = stat.S_ISREG(found.st_mode) and not found.st_mode & _OTHERS_MAY_WRITE
            if is_ours and found.st_uid in (0, uid) and _may_stand_below(os.path.dirname(path), uid):
                return path
        except OSError:
            continue
    return ""


def _may_stand_below(directory: str, uid: int) -> bool:
    """
    Return whether nobody else may put another file into a directory, or another directory above it.

    A group that has its user's number is that user's own, as most systems make them. :raises OSError: it is
    gone.
    """
    while True:
        found = os.stat(directory)
        others = stat.S_IWOTH if found.st_gid == found.st_uid else _OTHERS_MAY_WRITE
        if found.st_uid not in (0, uid) or (found.st_mode & others and not found.st_mode & stat.S_ISVTX):
            return False
        if directory == "/":
            return True
        directory = os.path.dirname(directory)


def hand_over(name: str, words: Sequence[str]) -> None:
    """
    Become gomrun under ``name``, whose words it takes. Returns when there is none that can be executed.

    :param words: the arguments. :param name: ``gom`` or ``mosrun``.
    """
    path = find(PLACES, os.geteuid())
    if not path:
        return
    import signal

    ignored = (signal.SIGPIPE, signal.SIGXFSZ)  # by Python: it would stay so
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(path, [name, *words])  # noqa: S606 - no shell is what is wanted
    except OSError:  # of another machine, or on a file system where nothing is executed
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
