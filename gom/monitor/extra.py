"""
Whether the live screens can be shown here: they need textual and a terminal; `--once` needs neither.

They need it for errors too: textual reads keys from standard input and draws on standard error.
"""

from __future__ import annotations

import importlib.util
import os
import select
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from libgomd.errors import GomdError
from libgomd.installation import installation


class NoScreen(GomdError):
    """There can be no live screen; the text says why, and what to do instead."""


def check_screen(
    name: str,
    *,
    has_textual: bool | None = None,
    streams: Sequence[TextIO] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """
    Check that the live screen of `gom NAME` can be shown.

    :param streams: standard input, output and error.
    :raises NoScreen: textual is missing, or one of the streams is no terminal with a screen.
    """
    if has_textual is None:
        has_textual = importlib.util.find_spec("textual") is not None
    once = f"`gom {name} --once` prints one picture without"
    if not has_textual:
        raise NoScreen(f"gom {name} needs textual: {installation().libraries('monitor')} ({once} it)")
    if not all(stream.isatty() for stream in streams or (sys.stdin, sys.stdout, sys.stderr)):
        raise NoScreen(f"gom {name} needs a terminal for input, output and errors ({once} one)")
    if environment.get("TERM", "") in ("", "dumb"):
        raise NoScreen(f"gom {name} needs a terminal with a screen, and TERM names none ({once} one)")


def is_hung_up(descriptor: int = 0) -> bool:
    """
    Return whether the terminal behind a descriptor is gone. Does not block.

    The kernel sends SIGHUP then, which a program ignores that was started so, as by ``trap '' HUP``.
    """
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(what & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, what in poll.poll(0))
