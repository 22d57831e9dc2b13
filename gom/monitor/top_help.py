"""The help of `gom top`."""

from __future__ import annotations

from typing import Final

from gom.monitor.spans import Line, Span, Style, line
from gom.monitor.top_actions import ActionResult
from gom.monitor.top_dialogs import CLOSE, STAY, Step

_KEYS: Final = (
    ("arrows, page", "move the cursor; it stays on its process when rows move"),
    ("space, U", "mark a row; unmark all. Keys act on marked rows if there are some"),
    ("enter, i", "show more of the process: its share over minutes, cgroup, io, limits"),
    ("/ or f", "show only commands with this in them; the nodes select"),
    ("u, n, J", "processes of one user; of one node; of jobs only"),
    ("escape", "unmark; a second time: show everything again"),
    ("P M T I N S", "order by processor, memory, time, storage, number, start; s: a list"),
    ("t", "children below their parents"),
    ("k, r", "send a signal; change the niceness"),
    ("m, l", "migrate; lock here, or unlock"),
    ("q, Ctrl-C", "quit"),
)
_COLUMNS: Final = (
    ("HOME", "the node where it was started, when it runs on another one"),
    ("S", "R runs, S sleeps, D waits for a device, T stopped, Z ended; ! does not answer"),
    ("M", "m may be moved, L locked, x cannot be moved (enter says why)"),
    ("mark", "* marked, > the cursor; grey rows are old: their node is silent"),
)


class Help:
    """The pane with the keys and the columns."""

    title = "help"

    is_pane = True

    def __init__(self) -> None:
        self._skip = 0

    def lines(self, width: int, height: int) -> list[Line]:
        """See `Dialog.lines`."""
        shown = [line(Span(f"{keys:<13} ", Style.KEY), does) for keys, does in _KEYS]
        shown += [(), *(line(Span(f"{name:<13} ", Style.HEADING), means) for name, means in _COLUMNS)]
        self._skip = max(0, min(self._skip, len(shown) - height))
        return shown[self._skip : self._skip + height]

    def press(self, key: str, text: str) -> Step:
        """See `Dialog.press`."""
        steps = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10}
        if key not in steps:
            return CLOSE
        self._skip = max(0, self._skip + steps[key])
        return STAY

    def answer(self, answer: ActionResult) -> Step:
        """See `Dialog.answer`."""
        return STAY
