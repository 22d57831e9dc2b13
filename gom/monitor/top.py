"""The command `gom top`: its options, one picture with `--once`, or the live screen."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from gom.monitor import picture
from gom.monitor.extra import check_screen
from gom.monitor.feed import MAX_TEXT, ClusterFeed, ProcessQuery, once
from gom.monitor.subscription import DaemonEndpoints
from gom.monitor.table import KEY_FIELDS
from libgomd.endpoints import Endpoint
from libgomd.errors import MalformedRequest
from libgomd.wire.lines import Request, encode_request

USAGE: Final = """\
usage: gom top [--once] [-n SECONDS] [--sort KEY] [--user NAME] [--match TEXT] [--jobs]

  --once       print one picture as text and end; needs no terminal and no textual
  -n SECONDS   from round to round, 1 unless said
  --sort KEY   cpu, rss, time, io, pid or start; cpu unless said
  --user NAME  only processes of this user, by name or number
  --match TEXT only processes with this in their name or command line
  --jobs       only processes of jobs

Shows every process of the cluster; the key h lists the keys. The live screen needs textual:
apt install python3-textual, or pip install 'gomd[monitor]'.
"""
#: Rows of each node in a picture, and of the live screen at first; fewer where that makes more than `ROWS`.
FIRST_TOP: Final = 20
LEAST_TOP: Final = 10
ROWS: Final = 5_000
NO_JSON: Final = "gom top draws pictures: for JSON, say `gom --json @all ps --top 20`"
#: Other words for a key.
_SORT_WORDS: Final = {"memory": "rss", "mem": "rss"}
_PERIODS: Final = (0.1, 3600.0)


class TopOptions(NamedTuple):
    """The options of `gom top`. :ivar period: seconds from round to round."""

    wanted: ProcessQuery
    period: float = 1.0
    once: bool = False


def parse(words: Sequence[str]) -> TopOptions:
    """
    Return the options in the words behind ``top``.

    :raises MalformedRequest: one is unknown, or has no value or a wrong one.
    """
    found: dict[str, str] = {}
    flags: set[str] = set()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, joined, value = (word[:2], "=", word[2:]) if is_period(word) else word.partition("=")
        if option in ("--once", "--jobs"):
            if joined:
                raise MalformedRequest(f"{option} takes no value")
            flags.add(option)
        elif option in ("-n", "--sort", "--user", "--match"):
            if not joined:
                if not rest:
                    raise MalformedRequest(f"{option} needs a value")
                value = rest.pop(0)
            found[option] = value
        elif word == "--json":
            raise MalformedRequest(NO_JSON)
        else:
            raise MalformedRequest(f"gom top has no option {word[:40]}")
    sort = _SORT_WORDS.get(word := found.get("--sort", "cpu"), word)
    if sort not in KEY_FIELDS:
        raise MalformedRequest(f"--sort is one of {', '.join(KEY_FIELDS)}, not {sort[:40]}")
    for option in ("--user", "--match"):
        if option in found and not 0 < len(found[option]) <= MAX_TEXT:
            raise MalformedRequest(f"{option} takes 1 to {MAX_TEXT} characters")
    wanted = ProcessQuery(
        FIRST_TOP, sort, found.get("--match", ""), found.get("--user", ""), jobs="--jobs" in flags
    )
    encode_request(Request("watch", wanted.words()))
    return TopOptions(wanted, seconds(found.get("-n", "1")), "--once" in flags)


def is_period(word: str) -> bool:
    """Whether a word is ``-n`` with its value: ``-n5`` or ``-n=5``."""
    return word.startswith("-n") and len(word) > 2


def seconds(word: str) -> float:
    """Return the period that ``-n`` names. :raises MalformedRequest: it names none."""
    least, most = _PERIODS
    word = word.removeprefix("=")
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not least <= value <= most:  # NaN is not either
        raise MalformedRequest(f"-n takes {least:g} to {most:g} seconds, not {word[:40]}")
    return value


def clock_time(moment: float) -> str:
    """Return a moment as the clock on the wall shows it; with its date when that is not today's."""
    from libgomd.wallclock import wall_clock

    try:
        then, today = time.localtime(moment), time.localtime(wall_clock())
    except (OverflowError, ValueError, OSError):
        return "-"
    return time.strftime("%H:%M:%S" if then[:3] == today[:3] else "%Y-%m-%d %H:%M:%S", then)


def run(endpoints: Sequence[Endpoint], token: str, options: TopOptions) -> int:
    """
    Show the screen until the person leaves it, or print one picture. Blocks.

    :returns: the exit status.
    :raises NoScreen: there can be no live screen here. :raises ConnectionLost: there is no daemon.
    :raises RequestError: the daemon refuses. :raises BrokenPipeError: the reader of the picture is gone.
    """
    place = DaemonEndpoints(endpoints, token)
    if options.once:
        return print_picture(place, options)
    check_screen("top")
    from gom.monitor.top_selection import FIRST_MOST

    nodes = nodes_of(place)
    wanted = options.wanted._replace(top=first_top(nodes), most=FIRST_MOST)
    news = _News()
    feed = ClusterFeed(place, options.period, wanted, news, nodes=nodes)
    feed.start()  # the daemon asks the nodes while textual is imported
    from gom.monitor.top_screen import TopScreen

    program = TopScreen(place, wanted, options.period, clock_time, lambda told: news.tell(told, feed))
    from gom.monitor import screen

    return screen.run(program, patience=program.patience, paste=program.paste)


class _News:
    """Passes on that there are news, once somebody is to be told."""

    def __init__(self) -> None:
        self._told: Callable[[], None] = lambda: None

    def __call__(self) -> None:
        self._told()

    def tell(self, told: Callable[[], None], feed: ClusterFeed) -> ClusterFeed:
        """Tell ``told`` from now on; returns ``feed``, whose news they are."""
        self._told = told
        return feed


def first_top(nodes: int) -> int:
    """Return how many rows to ask of each of so many nodes: fewer in a large cluster."""
    return max(LEAST_TOP, min(FIRST_TOP, ROWS // max(1, nodes)))


def nodes_of(place: DaemonEndpoints) -> int:
    """
    Return how many nodes there are. Blocks.

    A daemon that is not there, or a wrong token, is found here, before the screen is taken.

    :raises GomdError: there is no daemon, or it refuses.
    """
    request = Request("nodes")
    line = place.line(request)
    try:
        count, _, _ = line.ask(request, line.timeout).text.partition(" ")  # 500 nodes, 498 up
    finally:
        line.close()
    return max(1, int(count)) if count.isdecimal() else 1


def print_picture(place: DaemonEndpoints, options: TopOptions) -> int:
    """Print one picture. Blocks; errors as for `run`."""
    from gom.monitor.top_picture import draw

    snapshot = once(place, options.wanted)
    columns, rows = picture.size(sys.stdout, os.environ)
    picture.write(draw(snapshot, options.wanted, columns, rows, options.period, clock_time))
    return 0
