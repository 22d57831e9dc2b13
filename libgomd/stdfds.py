"""Standard streams that the caller has closed, and an output that cannot be written."""

from __future__ import annotations

import os
import sys
from typing import TextIO, cast


def open_closed_streams() -> None:
    """
    Open those of the descriptors 0, 1 and 2 that are closed on /dev/null. Call it before anything else.

    Without this a socket or a file would get such a number, and would be read as our input or written to as
    our output. Where there is no /dev/null, the reading end of a pipe without a writer takes its place.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            _open(descriptor)
    if sys.stdin is None:
        sys.stdin = _opened(0, "r", "surrogateescape")
    if sys.stdout is None:
        sys.stdout = _opened(1, "w", "surrogateescape")
    if sys.stderr is None:
        sys.stderr = _opened(2, "w", "backslashreplace")


def discard_output(*, errors: bool = False) -> None:
    """
    Let what is still to be written to standard output go to /dev/null, because writing it has failed.

    Without this Python tries again at its end, and reports the failure a second time in its own words and
    with its own exit status.

    :param errors: that to standard error, too, as when their terminal is gone.
    """
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    for stream in (sys.stdout, sys.stderr) if errors else (sys.stdout,):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _open(descriptor: int) -> None:
    """Open a closed descriptor, the lowest one that is closed."""
    try:
        opened = os.open(os.devnull, os.O_RDWR)
    except OSError:
        opened, writing = os.pipe()
        os.close(writing)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)


def _opened(descriptor: int, mode: str, errors: str) -> TextIO:
    return cast(TextIO, open(descriptor, mode, encoding="utf-8", errors=errors, closefd=False))
