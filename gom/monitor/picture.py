"""Writes lines of a screen as text, for `--once`: with colours on a terminal, plain in a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Final, TextIO

from gom.monitor.spans import Line, Style, encodable, text_of

#: What a terminal of 16 colours shows for each style, as parameters of SGR. A style not named here is plain.
SGR: Final[Mapping[Style, str]] = {
    Style.DIM: "2",
    Style.STALE: "2",
    Style.TITLE: "1",
    Style.HEADING: "7",
    Style.SORTED: "1;7",
    Style.SELECTED: "7",
    Style.MARKED: "1",
    Style.KEY: "1",
    Style.INPUT: "4",
    Style.GOOD: "32",
    Style.WARN: "33",
    Style.BAD: "31",
    Style.LEVEL_1: "34",
    Style.LEVEL_2: "36",
    Style.LEVEL_3: "32",
    Style.LEVEL_4: "33",
    Style.LEVEL_5: "31",
}


def wants_colour(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether ``stream`` is a terminal with colours, and the caller does not refuse them with NO_COLOR."""
    if environment.get("NO_COLOR") or environment.get("TERM", "dumb") == "dumb":
        return False
    return stream.isatty()


def text(lines: Iterable[Line], colour: bool) -> str:
    """Return the lines as text. :param colour: with SGR sequences of a terminal."""
    return "".join(f"{_coloured(each) if colour else text_of(each).rstrip()}\n" for each in lines)


def _coloured(line: Line) -> str:
    shown = [f"\x1b[{sgr}m{span.text}\x1b[0m" if (sgr := SGR.get(span.style)) else span.text for span in line]
    return "".join(shown).rstrip()


def size(stream: TextIO, environment: Mapping[str, str]) -> tuple[int, int]:
    """
    Return how many columns and rows a picture has: those of the terminal.

    In a pipe ``COLUMNS`` decides, else it is wide enough for long command lines; the rows have no limit
    there, which is 0.
    """
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
        if columns > 0:
            return columns, rows
    except (OSError, ValueError):
        pass
    wanted = environment.get("COLUMNS", "")
    return int(wanted) if wanted.isdecimal() and 0 < int(wanted) < 10_000 else 160, 0


def write(lines: Iterable[Line]) -> None:
    """
    Write the lines to standard output.

    :raises BrokenPipeError: the reader has closed it.
    """
    stream = sys.stdout
    encoding = stream.encoding or "utf-8"
    picture = encodable(text(lines, wants_colour(stream, os.environ)), encoding)
    stream.buffer.write(picture.encode(encoding, "replace"))
    stream.buffer.flush()
