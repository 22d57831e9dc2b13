"""
Shows a `ScreenProgram` with textual: one widget that is drawn by lines, the keys, the mouse, and the signals.

Only lines that have changed are drawn again. Colours are the terminal's own sixteen, so that they fit its
background; with NO_COLOR there are none.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, ClassVar, Final

from rich.segment import Segment
from rich.style import Style as RichStyle
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from gom.monitor.extra import is_hung_up
from gom.monitor.program import ScreenProgram
from gom.monitor.spans import Line, Style, encodable, fit_line, merged
from libgomd.stdfds import discard_output

#: Seconds for which news wait for more of them before they are drawn, at least.
GATHER: Final = 0.04
#: Seconds after which the picture is drawn again, because it shows ages.
LONGEST: Final = 1.0
_ENDED_BY: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_COLOURS: Final[Mapping[Style, RichStyle]] = {
    Style.PLAIN: RichStyle(),
    Style.DIM: RichStyle(dim=True),
    Style.STALE: RichStyle(dim=True, italic=True),
    Style.TITLE: RichStyle(bold=True),
    Style.HEADING: RichStyle(reverse=True),
    Style.SORTED: RichStyle(bold=True, reverse=True),
    Style.SELECTED: RichStyle(reverse=True),
    Style.MARKED: RichStyle(bold=True, color="cyan"),
    Style.KEY: RichStyle(bold=True),
    Style.INPUT: RichStyle(underline=True),
    Style.GOOD: RichStyle(color="green"),
    Style.WARN: RichStyle(color="yellow"),
    Style.BAD: RichStyle(color="red", bold=True),
    Style.LEVEL_1: RichStyle(color="blue"),
    Style.LEVEL_2: RichStyle(color="cyan"),
    Style.LEVEL_3: RichStyle(color="green"),
    Style.LEVEL_4: RichStyle(color="yellow"),
    Style.LEVEL_5: RichStyle(color="red"),
}


def _at_once() -> float:
    return 0.0


def _never() -> bool:
    return False


def styles(environment: Mapping[str, str]) -> dict[Style, RichStyle]:
    """Return how each style is shown; without colours where the caller does not want them."""
    if not environment.get("NO_COLOR"):
        return dict(_COLOURS)
    return {
        name: RichStyle(
            bold=style.bold, dim=style.dim, italic=style.italic, reverse=style.reverse,
            underline=style.underline,
        )
        for name, style in _COLOURS.items()
    }  # fmt: skip


class Picture(Widget, can_focus=True):
    """
    The whole screen: the lines of a program.

    :param encoding: of the terminal: what it does not have is shown as something that it has.
    """

    DEFAULT_CSS = """
    Picture { width: 100%; height: 100%; background: ansi_default; color: ansi_default; }
    """

    def __init__(
        self,
        program: ScreenProgram,
        shown: Mapping[Style, RichStyle],
        patience: Callable[[], float] = _at_once,
        paste: Callable[[str], None] | None = None,
        encoding: str = "utf-8",
    ) -> None:
        super().__init__()
        self._encoding = encoding
        self._program = program
        self._patience = patience
        self._paste = paste
        self._shown = shown
        self._lines: list[Line] = []
        self._waiting = False
        self._drawn_at = 0.0

    def on_mount(self) -> None:
        """Draw, and see to it that ages go on."""
        self.set_interval(LONGEST, self._age)
        self.focus()

    def news(self) -> None:
        """Draw soon: there is something new."""
        if not self._waiting:
            self._waiting = True
            passed = asyncio.get_running_loop().time() - self._drawn_at
            self.set_timer(max(GATHER, self._patience() - passed), self.redraw)

    def redraw(self) -> None:
        """Draw now what has changed."""
        self._waiting = False
        self._drawn_at = asyncio.get_running_loop().time()
        width, height = self.size
        if not width or not height:
            return
        program = self._program
        if program.finished:
            self.app.exit(0)
            return
        lines = [merged(fit_line(each, width)) for each in program.draw(width, height)[:height]]
        lines += [fit_line((), width)] * (height - len(lines))
        before, self._lines = self._lines, lines
        if len(before) != len(lines):
            self.refresh()
            return
        changed = [at for at, line in enumerate(lines) if line != before[at]]
        if changed:
            self.refresh(*(Region(0, at, width, 1) for at in changed))

    def _age(self) -> None:
        if asyncio.get_running_loop().time() - self._drawn_at > 0.9 * LONGEST:
            self.redraw()

    def render_line(self, y: int) -> Strip:
        """Return one line for textual."""
        width = self.size.width
        if y >= len(self._lines):
            return Strip.blank(width)
        line = fit_line(self._lines[y], width)
        return Strip(
            [Segment(encodable(span.text, self._encoding), self._shown[span.style]) for span in line], width
        )

    # -- what the person does

    def on_resize(self, event: events.Resize) -> None:
        """Draw for the new size."""
        self.redraw()

    def on_key(self, event: events.Key) -> None:
        """Give a key to the program."""
        event.stop()
        event.prevent_default()
        if event.key == "ctrl+c":
            self.app.exit(128 + signal.SIGINT)
            return
        if event.key == "ctrl+z":
            self.app.action_suspend_process()
            return
        if event.key == "ctrl+l":
            self.app.refresh(layout=True)
        typed = event.character if event.is_printable and event.character else ""
        # What was typed before the terminal was taken, as right after `fg`, has line feeds for Enter.
        self._program.press("enter" if event.key == "ctrl+j" else event.key, typed)
        self.redraw()

    def on_paste(self, event: events.Paste) -> None:
        """Hand on what is pasted, a line at most, where the program takes text. Never as keys: they act."""
        event.stop()
        if self._paste is not None:
            self._paste("".join(filter(str.isprintable, event.text.partition("\n")[0][:256])))
            self.redraw()

    def on_click(self, event: events.Click) -> None:
        """Give a click to the program."""
        event.stop()
        self._program.click(event.x, event.y)
        self.redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Give a turn of the wheel to the program."""
        event.stop()
        self._program.wheel(-3)
        self.news()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Give a turn of the wheel to the program."""
        event.stop()
        self._program.wheel(3)
        self.news()


class TerminalDriver(LinuxDriver):
    """
    Reads the terminal. What is no UTF-8, such as a letter from a terminal in Latin-1, is dropped, at
    times with the key behind it.

    textual ends with a traceback then.
    """

    def run_input_thread(self) -> None:
        """Hand on what is typed."""
        while not self.exit_event.is_set():
            try:
                super().run_input_thread()
            except UnicodeDecodeError:
                continue


class Shell(App[int]):
    """
    The textual program around one picture.

    :param is_gone: whether the terminal is gone, for which nobody may have sent a signal; then it ends.
    :param encoding: of the terminal.
    """

    CSS = "Screen { background: ansi_default; overflow: hidden; }"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "quit", show=False, priority=True)]

    def __init__(
        self,
        program: ScreenProgram,
        environment: Mapping[str, str] = os.environ,
        patience: Callable[[], float] = _at_once,
        paste: Callable[[str], None] | None = None,
        is_gone: Callable[[], bool] = _never,
        encoding: str = "utf-8",
    ) -> None:
        super().__init__(driver_class=TerminalDriver, ansi_color=True)
        self.program = program
        self._is_gone = is_gone
        self.picture = Picture(program, styles(environment), patience, paste, encoding)
        self._news_loop: asyncio.AbstractEventLoop | None = None
        self._news_context: contextvars.Context | None = None
        self._has_terminal = True

    def compose(self) -> ComposeResult:
        """Show the picture alone."""
        yield self.picture

    def on_mount(self) -> None:
        """Take signals, so that the terminal is restored whichever of them ends the program."""
        # What another thread puts into the loop has to run as a part of this program, with its context.
        self._news_context = contextvars.copy_context()
        self._news_loop = asyncio.get_running_loop()
        for number in _ENDED_BY:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                self._news_loop.add_signal_handler(number, self.exit, 128 + number)
        self.set_interval(LONGEST, self._check_terminal)
        self._guard_continue()

    def _check_terminal(self) -> None:
        if self._is_gone():
            self.exit(128 + signal.SIGHUP)

    def _guard_continue(self) -> None:
        """
        Let textual take the terminal again only after it has given it back.

        It takes it at every SIGCONT. After a SIGSTOP from outside it has it still: a second thread would read
        the keys, and some of them would be lost.
        """
        give_back, take = signal.getsignal(signal.SIGTSTP), signal.getsignal(signal.SIGCONT)
        if not (callable(give_back) and callable(take)):  # not on a terminal
            return

        def stopped(number: int, frame: FrameType | None) -> None:
            self._has_terminal = False
            give_back(number, frame)

        def continued(number: int, frame: FrameType | None) -> None:
            if self._has_terminal:
                self.news()
            else:
                take(number, frame)

        def resumed(_app: App[int]) -> None:
            self._has_terminal = True

        signal.signal(signal.SIGTSTP, stopped)
        signal.signal(signal.SIGCONT, continued)
        self.app_resume_signal.subscribe(self, resumed)

    def on_key(self, event: events.Key) -> None:
        """Give the picture a key that it does not get: a click beside it has taken the focus away."""
        self.picture.on_key(event)

    def news(self) -> None:
        """Draw soon; may be called on any thread, and before the screen is there."""
        if self._news_loop is not None:
            try:
                self._news_loop.call_soon_threadsafe(self.picture.news, context=self._news_context)
            except RuntimeError:  # the loop is closed: the program ends
                pass


def run(
    program: ScreenProgram,
    *,
    patience: Callable[[], float] = _at_once,
    paste: Callable[[str], None] | None = None,
) -> int:
    """
    Show ``program`` on the terminal until it is finished or a signal ends it. Blocks.

    :param patience: returns the seconds between two pictures that news ask for, at least; keys are answered
        at once.
    :param paste: takes a line of text that the person pastes; without it nothing is pasted.
    :returns: the exit status: 0, or 128 and the number of the signal.
    """
    encoding = getattr(sys.__stderr__, "encoding", None) or "utf-8"  # textual draws on it
    shell = Shell(program, patience=patience, paste=paste, is_gone=is_hung_up, encoding=encoding)
    program.start(shell.news)
    try:
        status: Any = shell.run()
    finally:
        program.stop()
    if status is None:  # left with Ctrl-Q; after an error textual has shown what it was
        return 1 if shell.return_code is None else shell.return_code
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # the terminal was hung up
        discard_output(errors=True)
    return int(status)
