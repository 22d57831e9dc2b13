"""`gom mon`: openMosix's mosmon of today. Reads its options, and prints one picture or opens the screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from gom.monitor.extra import check_screen
from gom.monitor.mon_fetch import NODES, fetch
from gom.monitor.mon_screen import picture, shown_nodes
from gom.monitor.mon_view import DEFAULT_VIEW, Metric, MonLayout, Numbering, Page, View, go_to
from gom.monitor.picture import size, write
from gom.monitor.spans import Line
from gom.monitor.subscription import DaemonEndpoints
from gom.monitor.top import is_period, seconds
from libgomd.endpoints import Endpoint
from libgomd.errors import MalformedRequest
from libgomd.wallclock import Wall, wall_clock

USAGE: Final = """\
usage: gom mon [--once] [-n SECONDS] [-l|-L|-s|-m|-r|-u] [-w|-v|-V|-a] [-b|-x] [-d] [-t] [-y] [+NODE]

Show the nodes of the cluster as bars, or as a map when they do not fit. The letters are also keys.

  --once      print one picture as text, also into a pipe or a file, and exit
  -n SECONDS  from picture to picture, 1 unless said
  -l  load: 1 is one busy process on a standard processor; -L the same, logarithmic
  -s  speed    -m  memory used    -r  raw memory used    -u  utilizability
  -w  numbers side by side   -v  vertical   -V  vertical and tight   -a  whichever fits (the default)
  -b  bars, even if not all fit   -x  the map of all nodes
  -d  leave out the nodes that are down   -t  no totals   -y  say the yardstick
  +NODE       begin with this node
"""
NO_JSON: Final = "gom mon draws pictures: for JSON, say `gom --json nodes`"


@dataclass(frozen=True, slots=True)
class MonOptions:
    """
    What the command line asks for.

    :ivar period: seconds between pictures. :ivar begin: id of the node to begin with; 0 for the first.
    """

    once: bool = False
    period: float = 1.0
    view: View = DEFAULT_VIEW
    begin: int = 0


def parse(words: Sequence[str]) -> MonOptions:
    """
    Return the options in ``words``. Letters may be joined, as in ``-md``.

    :raises MalformedRequest: one is unknown, or lacks its value.
    """
    options, rest = MonOptions(), list(words)
    while rest:
        word = rest.pop(0)
        if word == "--once":
            options = replace(options, once=True)
        elif word == "-n" or is_period(word):
            if word == "-n" and not rest:
                raise MalformedRequest("-n needs a number of seconds")
            options = replace(options, period=seconds(rest.pop(0) if word == "-n" else word[2:]))
        elif word.startswith("+") and word[1:].isascii() and word[1:].isdigit() and len(word) <= 6:
            options = replace(options, begin=int(word[1:]))
        elif word.startswith("-") and not word.startswith("--") and len(word) > 1:
            for letter in word[1:]:
                options = replace(options, view=_with(options.view, letter))
        elif word == "--json":
            raise MalformedRequest(NO_JSON)
        else:
            raise MalformedRequest(f"mon has no option {word[:40]}")
    return options


def _with(view: View, letter: str) -> View:
    for metric in Metric:
        if letter == metric.key:
            return replace(view, metric=metric)
    for numbering in Numbering:
        if letter == numbering.value:
            return replace(view, numbering=numbering)
    if letter in _CHANGES:
        return replace(view, **_CHANGES[letter])
    raise MalformedRequest(f"mon has no option -{letter}")


_CHANGES: Final[dict[str, dict[str, Any]]] = {
    "b": {"layout": MonLayout.BARS},
    "x": {"layout": MonLayout.MAP},
    "d": {"dead": False},
    "t": {"totals": False},
    "y": {"yardstick": True},
}


def run(endpoints: Sequence[Endpoint], token: str, options: MonOptions, wall: Wall = wall_clock) -> int:
    """
    Show the screen until the person leaves it, or print one picture. Blocks.

    :returns: the exit status.
    :raises NoScreen: there can be no live screen here. :raises ConnectionLost: there is no daemon.
    :raises RequestError: the daemon refuses. :raises BrokenPipeError: the reader of the picture is gone.
    """
    place = DaemonEndpoints(endpoints, token)
    if options.once:
        write(once(place, options, wall))
        return 0
    check_screen("mon")
    # A daemon that is not there, or that refuses, is found before the screen is taken.
    line = place.line(NODES)
    try:
        line.ask(NODES, line.timeout)
    finally:
        line.close()
    from gom.monitor import screen
    from gom.monitor.mon_feed import MonFeed
    from gom.monitor.mon_program import MonProgram

    def follow(changed: Callable[[], None]) -> MonFeed:
        return MonFeed(place, options.period, wall, changed)

    program = MonProgram(follow, options.view, wall, options.begin)
    pause = 0.75 * min(1.0, options.period)
    return screen.run(program, patience=lambda: pause if program.has_nodes else 0.0)


def once(place: DaemonEndpoints, options: MonOptions, wall: Wall) -> list[Line]:
    """Return one picture of what the daemon knows now, as wide as the terminal. Blocks."""
    line = place.line(NODES)
    try:
        cluster = fetch(line, wall)
    finally:
        line.close()
    view = options.view
    if options.begin:
        view = go_to(view, options.begin, tuple(node.id for node in shown_nodes(cluster, view)), Page(1))
    columns, _rows = size(sys.stdout, os.environ)
    return picture(cluster, view, wall(), columns)
