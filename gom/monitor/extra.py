"""Whether the live screens can be shown here: they need textual and a terminal; `--once` needs neither."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from typing import TextIO

from libgomd.errors import GomdError
from libgomd.installation import installation


class NoScreen(GomdError):
    """There can be no live screen; the text says why, and what to do instead."""


def check_screen(
    name: str,
    *,
    has_textual: bool | None = None,
    streams: tuple[TextIO, TextIO] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """
    Check that the live screen of `gom NAME` can be shown.

    :raises NoScreen: textual is missing, or standard input or output is no terminal with a screen.
    """
    if has_textual is None:
        has_textual = importlib.util.find_spec("textual") is not None
    once = f"`gom {name} --once` prints one picture without"
    if not has_textual:
        raise NoScreen(f"gom {name} needs textual: {installation().libraries('monitor')} ({once} it)")
    if not all(stream.isatty() for stream in streams or (sys.stdin, sys.stdout)):
        raise NoScreen(f"gom {name} needs a terminal for input and output ({once} one)")
    if environment.get("TERM", "") in ("", "dumb"):
        raise NoScreen(f"gom {name} needs a terminal with a screen, and TERM names none ({once} one)")
