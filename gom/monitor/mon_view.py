"""How a person wants `gom mon` to look, and what each key changes: openMosix's mosmon had the same keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, NamedTuple

#: Digits of the number behind `+`.
_MAX_DIGITS: Final = 5


class Metric(Enum):
    """What the bars and the map show: the key, and the title."""

    LOAD = "l", "load"
    LOG_LOAD = "L", "load, logarithmic"
    SPEED = "s", "speed"
    MEMORY = "m", "memory used"
    RAW_MEMORY = "r", "raw memory used"
    UTIL = "u", "utilizability"

    @property
    def key(self) -> str:
        """The key that chooses it, and the option."""
        return self.value[0]

    @property
    def title(self) -> str:
        """What it is called on the screen."""
        return self.value[1]


class Numbering(Enum):
    """How nodes are named below their bars, by its key."""

    AUTO = "a"
    WIDE = "w"
    VERTICAL = "v"
    TIGHT = "V"


class MonLayout(Enum):
    """What the middle of the screen shows."""

    AUTO = "automatic"
    BARS = "bars"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class View:
    """
    What a person has chosen.

    :ivar first: how many nodes are scrolled past on the left, or above. :ivar dead: whether nodes that are
        down are shown. :ivar totals: whether the totals are. :ivar yardstick: whether the yardstick is.
    :ivar selected: id of the node whose values are spelled out; 0 for none.
    :ivar number: the digits typed behind `+`; None when none is being typed.
    :ivar help: whether the keys are explained instead.
    """

    metric: Metric = Metric.LOAD
    numbering: Numbering = Numbering.AUTO
    layout: MonLayout = MonLayout.AUTO
    first: int = 0
    dead: bool = True
    totals: bool = True
    yardstick: bool = False
    selected: int = 0
    number: str | None = None
    help: bool = False


class Page(NamedTuple):
    """
    How many nodes are on the screen at once.

    :ivar lines: lines of nodes of the map; of bars, how many. :ivar across: nodes in a line; 1 for bars.
    """

    lines: int
    across: int = 1

    @property
    def nodes(self) -> int:
        """How many nodes that are."""
        return self.lines * self.across


DEFAULT_VIEW: Final = View()
_METRICS: Final = {metric.key: metric for metric in Metric}
_NUMBERINGS: Final = {numbering.value: numbering for numbering in Numbering}
_NEXT_LAYOUT: Final = {
    MonLayout.AUTO: MonLayout.BARS,
    MonLayout.BARS: MonLayout.MAP,
    MonLayout.MAP: MonLayout.AUTO,
}


def press(view: View, key: str, nodes: tuple[int, ...], page: Page) -> View:
    """
    Return the view after a key.

    :param key: a character, or ``enter escape left right up down pageup pagedown home end``.
    :param nodes: the ids of the nodes that can be shown, in their order. :param page: what fits at once.
    """
    if view.number is not None:
        return _typed(view, key, nodes, page)
    if view.help:
        return replace(view, help=False)
    if key in _METRICS:
        return replace(view, metric=_METRICS[key])
    if key in _NUMBERINGS:
        return replace(view, numbering=_NUMBERINGS[key], first=0)
    if key in _SWITCHES:
        return _SWITCHES[key](view)
    if key == "x":
        return replace(view, layout=_NEXT_LAYOUT[view.layout], first=0)
    if key == "+":
        return replace(view, number="")
    if key == "escape":
        return replace(view, selected=0)
    if key in _SELECTS:
        steps = _SELECTS[key] if key in ("left", "right") else _SELECTS[key] * page.across
        return select(view, steps, nodes, page)
    if key in _SCROLLS:
        return scroll(view, _SCROLLS[key] * page.nodes, len(nodes), page)
    if key in ("home", "end"):
        return scroll(view, -len(nodes) if key == "home" else len(nodes), len(nodes), page)
    return view


_SWITCHES: Final[dict[str, Callable[[View], View]]] = {
    "d": lambda view: replace(view, dead=not view.dead, first=0),
    "t": lambda view: replace(view, totals=not view.totals),
    "y": lambda view: replace(view, yardstick=not view.yardstick),
    **dict.fromkeys(("h", "H", "?"), lambda view: replace(view, help=True)),
}
_SELECTS: Final = {"left": -1, "right": 1, "up": -1, "down": 1}
_SCROLLS: Final = {"p": -1, "n": 1, "pageup": -1, "pagedown": 1}


def _typed(view: View, key: str, nodes: tuple[int, ...], page: Page) -> View:
    """Return the view after a key while a number is being typed."""
    number = view.number or ""
    if key == "enter":
        view = replace(view, number=None)
        return go_to(view, int(number), nodes, page) if number else view
    if key == "backspace":
        return replace(view, number=number[:-1])
    if len(key) == 1 and key.isascii() and key.isdigit():
        return replace(view, number=(number + key)[:_MAX_DIGITS])
    return replace(view, number=None)


def go_to(view: View, node: int, nodes: tuple[int, ...], page: Page) -> View:
    """Return the view that begins with a node, or with the next one that there is, and selects it."""
    at = next((place for place, each in enumerate(nodes) if each >= node), len(nodes) - 1)
    if at < 0:
        return view
    return scroll(replace(view, selected=nodes[at], first=at), 0, len(nodes), page)


def select(view: View, steps: int, nodes: tuple[int, ...], page: Page) -> View:
    """Return the view with the node selected that is ``steps`` further on, in sight."""
    if not nodes:
        return view
    if view.selected in nodes:
        at = max(0, min(len(nodes) - 1, nodes.index(view.selected) + steps))
    else:
        at = min(view.first, len(nodes) - 1)
    line = at // page.across
    first = max(min(view.first // page.across, line), line - page.lines + 1)
    return replace(view, selected=nodes[at], first=first * page.across)


def scroll(view: View, steps: int, count: int, page: Page) -> View:
    """Return the view scrolled by ``steps`` nodes of ``count``, as far as that goes."""
    last = max(0, -(-count // page.across) - page.lines)
    return replace(view, first=max(0, min((view.first + steps) // page.across, last)) * page.across)
