"""
The dialogs of `gom top`: lists to choose from, and the confirmation that names what will happen.

A dialog is a value that takes keys and draws lines. What it was opened for, it keeps: the processes in it are
those that the person saw, whatever the table shows by now.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from gom.monitor.rows import ProcessRow
from gom.monitor.spans import Line, Span, Style, clip, line, visible, wrapped
from gom.monitor.top_actions import ActionResult, Asked
from libgomd.wire.lines import Request

#: Processes that a confirmation names; it counts the others.
MAX_NAMED: Final = 5
#: Cells of a command in a sentence.
_COMMAND_CELLS: Final = 40


class Step(NamedTuple):
    """
    What follows a key.

    :ivar close: the dialog is over. :ivar ask: requests to send. :ivar value: what was chosen.
    """

    close: bool = False
    ask: tuple[Asked, ...] = ()
    value: str | None = None


STAY: Final = Step()
CLOSE: Final = Step(close=True)


class Dialog(Protocol):
    """
    Something that is open above the table and takes all keys.

    :ivar is_pane: whether it is as wide as the screen.
    """

    is_pane: bool

    @property
    def title(self) -> str:
        """Its name."""

    def lines(self, width: int, height: int) -> list[Line]:
        """Return at most ``height`` lines of text for a frame of that inner size."""

    def press(self, key: str, text: str) -> Step:
        """Take a key; keys are as in `gom.monitor.program`."""

    def answer(self, answer: ActionResult) -> Step:
        """Take an answer to something that this dialog has asked."""


def named(process: ProcessRow) -> str:
    """Return a process as a sentence names it: ``4711 `xz -9 big` of ada on node 3``."""
    command = clip(visible(process.command[: 2 * _COMMAND_CELLS]), _COMMAND_CELLS)
    home = "" if process.home == process.node else f" (from node {process.home})"
    return f"{process.pid} `{command}` of {visible(process.user)} on node {process.node}{home}"


def sentences(text: str, width: int, style: Style = Style.PLAIN) -> list[Line]:
    """Return text that is not ours as lines."""
    return [line(Span(each, style)) for part in text.split("\n") for each in wrapped(visible(part), width)]


class Choice(NamedTuple):
    """One line of a list. :ivar value: what choosing it gives. :ivar shown: its line."""

    value: str
    shown: Line


class ListBox:
    """A list with a cursor, as tall as there is room."""

    def __init__(self, choices: Sequence[Choice], at: int = 0) -> None:
        self.choices = list(choices)
        self.at = max(0, min(at, len(self.choices) - 1))
        self._height = 1

    def press(self, key: str) -> bool:
        """Move the cursor. Returns whether the key does that."""
        steps = {"up": -1, "down": 1, "pageup": -self._height, "pagedown": self._height,
                 "home": -len(self.choices), "end": len(self.choices)}  # fmt: skip
        if key not in steps:
            return False
        self.at = max(0, min(self.at + steps[key], len(self.choices) - 1))
        return True

    @property
    def value(self) -> str | None:
        """What is under the cursor; None in an empty list."""
        return self.choices[self.at].value if self.choices else None

    def lines(self, height: int) -> list[Line]:
        """Return the part of the list that fits, with the cursor in it."""
        self._height = max(1, height)
        top = max(0, min(self.at - self._height // 2, len(self.choices) - self._height))
        return [
            (Span("> " if at == self.at else "  ", Style.KEY), *self._shown(at))
            for at in range(top, min(top + self._height, len(self.choices)))
        ]

    def _shown(self, at: int) -> Line:
        shown = self.choices[at].shown
        if at != self.at:
            return shown
        return tuple(Span(span.text, Style.SELECTED) for span in shown)


class Menu:
    """A list from which one value is chosen. Typing goes to the next line that begins so."""

    is_pane = False

    def __init__(self, title: str, choices: Sequence[Choice], at: int = 0) -> None:
        self._title = title
        self._list = ListBox(choices, at)

    @property
    def title(self) -> str:
        """See `Dialog.title`."""
        return self._title

    def lines(self, width: int, height: int) -> list[Line]:
        """See `Dialog.lines`."""
        return self._list.lines(height)

    def press(self, key: str, text: str) -> Step:
        """See `Dialog.press`."""
        if key in ("escape", "q"):
            return CLOSE
        if key == "enter":
            return Step(close=True, value=self._list.value)
        if not self._list.press(key) and text:
            self._find(text.casefold())
        return STAY

    def _find(self, letter: str) -> None:
        count = len(self._list.choices)
        for step in range(1, count + 1):
            at = (self._list.at + step) % count
            shown = "".join(span.text for span in self._list.choices[at].shown).lstrip()
            if shown.casefold().startswith(letter):
                self._list.at = at
                return

    def answer(self, answer: ActionResult) -> Step:
        """See `Dialog.answer`."""
        return STAY


class Acting:
    """
    Acts on processes, after a confirmation that names what will happen.

    :param what: says it, with ``{}`` for the process: ``send SIGTERM to {}``.
    :param request: makes the request from an identity.
    :param warning: one more sentence of the confirmation; empty for none.
    """

    is_pane = False

    def __init__(
        self,
        what: str,
        processes: Sequence[ProcessRow],
        request: Callable[[str], Request],
        warning: str = "",
    ) -> None:
        self._what = what
        self._processes = tuple(processes)
        self._request = request
        self._warning = warning

    @property
    def title(self) -> str:
        """See `Dialog.title`."""
        return "confirm"

    def sentence(self) -> str:
        """Return what will happen, in one sentence."""
        before, _, behind = self._what.partition("{}")
        count = len(self._processes)
        whom = f"process {named(self._processes[0])}" if count == 1 else f"these {count} processes"
        return f"{before[:1].upper()}{before[1:]}{whom}{behind}?"

    def lines(self, width: int, height: int) -> list[Line]:
        """See `Dialog.lines`: the question is there whatever the height."""
        found = sentences(self.sentence(), width)
        if len(self._processes) > 1:
            found += [line(clip(f"  {named(each)}", width)) for each in self._processes[:MAX_NAMED]]
            if more := len(self._processes) - MAX_NAMED:
                found += [line(f"  and {more} more")] if more > 0 else []
        if self._warning:
            found += sentences(self._warning, width, Style.WARN)
        asked = line(Span("y", Style.KEY), " do it   ", Span("n", Style.KEY), " do not")
        return [*found[: max(0, height - 1)], asked]

    def press(self, key: str, text: str) -> Step:
        """See `Dialog.press`. Nothing but y does it; Enter, which may be pressed once too often, does not."""
        if text in ("y", "Y"):
            return Step(close=True, ask=tuple(self._asked(each) for each in self._processes))
        return CLOSE if key == "escape" or text in ("n", "N", "q") else STAY

    def _asked(self, process: ProcessRow) -> Asked:
        return Asked(("act", process.identity), self._request(process.identity), f"process {named(process)}")

    def answer(self, answer: ActionResult) -> Step:
        """See `Dialog.answer`."""
        return STAY


#: Signals in the order in which people want them.
SIGNALS: Final = (
    "TERM",
    "KILL",
    "INT",
    "HUP",
    "STOP",
    "CONT",
    "QUIT",
    "USR1",
    "USR2",
    "ABRT",
    "ALRM",
    "WINCH",
)


def signal_menu() -> Menu:
    """Return the list of signals."""
    numbers = [(name, int(signal.Signals[f"SIG{name}"])) for name in SIGNALS]
    choices = [Choice(name, line(f"{name:<6}", Span(f"{number:>3}", Style.DIM))) for name, number in numbers]
    return Menu("send which signal?", choices)


def sending(name: str, processes: Sequence[ProcessRow]) -> Acting:
    """Return the confirmation of a signal."""
    return Acting(f"send SIG{name} to {{}}", processes, lambda identity: Request("signal", (identity, name)))


def locking(lock: bool, processes: Sequence[ProcessRow]) -> Acting:
    """Return the confirmation of a lock, or of its end."""
    if lock:
        return Acting(
            "lock {}", processes, lambda identity: Request("lock", (identity,)),
            "Balancing leaves a locked process where it is.",
        )  # fmt: skip
    return Acting("unlock {}", processes, lambda identity: Request("unlock", (identity,)))


class Renice:
    """Asks for a niceness and goes on to the confirmation."""

    is_pane = False

    def __init__(self, processes: Sequence[ProcessRow]) -> None:
        self._processes = tuple(processes)
        self._typed = ""

    @property
    def title(self) -> str:
        """See `Dialog.title`."""
        return "renice"

    def lines(self, width: int, height: int) -> list[Line]:
        """See `Dialog.lines`."""
        now = ", ".join(sorted({"?" if each.nice is None else str(each.nice) for each in self._processes}))
        return [
            line(f"New niceness, -20 to 19 (now {now}): ", Span(self._typed + "_", Style.INPUT)),
            line(Span("A higher one gives way to others; only an admin may lower it.", Style.DIM)),
        ][:height]

    def press(self, key: str, text: str) -> Step:
        """See `Dialog.press`."""
        if key == "escape":
            return CLOSE
        if key == "backspace":
            self._typed = self._typed[:-1]
        elif key == "enter":
            return Step(close=True, value=self._typed) if self._valid() else STAY
        elif text.isdecimal() or (text == "-" and not self._typed):
            self._typed = (self._typed + text)[:3]
        return STAY

    def _valid(self) -> bool:
        try:
            return -20 <= int(self._typed) <= 19
        except ValueError:
            return False

    def answer(self, answer: ActionResult) -> Step:
        """See `Dialog.answer`."""
        return STAY


def renicing(nice: int, processes: Sequence[ProcessRow]) -> Acting:
    """Return the confirmation of a niceness."""
    return Acting(
        f"set niceness {nice} of {{}}", processes, lambda identity: Request("renice", (identity, str(nice)))
    )
