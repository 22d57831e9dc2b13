"""The help of `gom top`."""

from __future__ import annotations

from typing import Final

from gom.monitor.spans import Line, Span, Style, line, wrapped
from gom.monitor.top_actions import ActionResult
from gom.monitor.top_dialogs import CLOSE, STAY, Step

_KEYS: Final = (
    ("arrows, page", "move the cursor; it stays on its process when rows move"),
    ("space, U", "mark a row; unmark all. Keys act on all marked rows"),
    ("enter, i", "its values, processor share over minutes, cgroup, io, limits"),
    ("/ or f", "show only commands with this in them; the nodes select"),
    ("u, n, J", "processes of one user; of one node; of jobs only"),
    ("escape", "unmark; a second time: show everything again"),
    ("P M T I N S", "order by cpu, memory, time, storage, number, start; s: a list"),
    ("t", "children below their parents"),
    ("k, r", "send a signal; change the niceness"),
    ("m, l", "migrate; lock here, or unlock"),
    ("q, Ctrl-C", "quit"),
)
_COLUMNS: Final = (
    ("HOME", "the node where it was started, when it runs on another one"),
    ("S", "R runs, S sleeps, D waits for a device, T stopped, Z ended; ! does not answer"),
    ("IO/s", "bytes read and written; - where only the owner may see it"),
    ("M", "m may be moved, L locked, x cannot be moved (enter says why)"),
    ("mark", "* marked, > the cursor, ~ old (grey): its node is silent"),
)
#: Cells of a name and the gap behind it.
_NAME_CELLS: Final = 14


class Help:
    """The pane with the keys and the columns."""

    is_pane = True

    def __init__(self) -> None:
        self._skip = 0
        self._has_more = False

    @property
    def title(self) -> str:
        """See `Dialog.title`."""
        return "help: down for more" if self._has_more else "help"

    def lines(self, width: int, height: int) -> list[Line]:
        """See `Dialog.lines`."""
        shown = [each for keys, does in _KEYS for each in _explained(keys, Style.KEY, does, width)]
        shown += [()]
        shown += [each for name, means in _COLUMNS for each in _explained(name, Style.HEADING, means, width)]
        self._skip = max(0, min(self._skip, len(shown) - height))
        self._has_more = self._skip + height < len(shown)
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


def _explained(name: str, style: Style, text: str, width: int) -> list[Line]:
    """Return a name and what it means, in as many lines as it takes."""
    if width < 3 * _NAME_CELLS:  # too narrow for two columns
        return [line(Span(name, style)), *(line(" ", each) for each in wrapped(text, width - 1))]
    first, *rest = wrapped(text, width - _NAME_CELLS)
    return [
        line(Span(f"{name:<{_NAME_CELLS - 1}} ", style), first),
        *(line(" " * _NAME_CELLS, each) for each in rest),
    ]
