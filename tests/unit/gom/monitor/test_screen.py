"""The textual shell: it shows a program's lines, gives it keys and the mouse, and draws what changed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

pytest.importorskip("textual", reason="the extra `monitor` is not installed")

from textual.pilot import Pilot

from gom.monitor.screen import Shell, styles
from gom.monitor.spans import Line, Span, Style, line


class Told:
    """A program that notes what it is told and shows its notes."""

    def __init__(self) -> None:
        self.finished = False
        self.notes: list[str] = []
        self.drawn = 0
        self.news = lambda: None

    def start(self, changed: Callable[[], None]) -> None:
        """See `Program.start`."""
        self.news = changed

    def stop(self) -> None:
        """See `Program.stop`."""

    def draw(self, columns: int, rows: int) -> list[Line]:
        """See `Program.draw`."""
        self.drawn += 1
        return [line(f"{columns}x{rows}"), *(line(Span(note, Style.BAD)) for note in self.notes)]

    def press(self, key: str, text: str) -> None:
        """See `Program.press`."""
        self.notes.append(f"key {key} {text!r}")
        self.finished = key == "q"

    def click(self, column: int, row: int) -> None:
        """See `Program.click`."""
        self.notes.append(f"click {column} {row}")

    def wheel(self, steps: int) -> None:
        """See `Program.wheel`."""
        self.notes.append(f"wheel {steps}")


def shown(shell: Shell) -> list[str]:
    """Return the lines of the picture, without the empty ones."""
    height = shell.picture.size.height
    return [text for y in range(height) if (text := shell.picture.render_line(y).text.rstrip())]


def play(
    script: Callable[[Shell, Told, Pilot[int]], Awaitable[None]],
    size: tuple[int, int] = (40, 10),
    is_gone: Callable[[], bool] = lambda: False,
) -> Shell:
    """Run a shell without a terminal through a script."""
    told = Told()
    shell = Shell(told, {}, is_gone=is_gone)

    async def run() -> None:
        told.start(shell.news)
        async with shell.run_test(size=size) as pilot:
            await pilot.pause()
            await script(shell, told, pilot)

    asyncio.run(run())
    return shell


def test_keys_and_what_they_type() -> None:
    """Names of keys are textual's; what they type comes with them. Nothing is taken by textual itself."""

    async def script(shell: Shell, told: Told, pilot: Pilot[int]) -> None:
        await pilot.press("a", "A", "/", "space", "up", "enter", "escape", "tab", "ctrl+p", "f1", "é")
        assert told.notes == [
            "key a 'a'", "key A 'A'", "key slash '/'", "key space ' '", "key up ''", "key enter ''",
            "key escape ''", "key tab ''", "key ctrl+p ''", "key f1 ''",
            f"key {told.notes[-1].split()[1]} 'é'",
        ]  # fmt: skip
        assert shown(shell)[:2] == ["40x10", "key a 'a'"]

    play(script)


def test_news_from_another_thread_are_drawn() -> None:
    """However often they come, and while the program ends."""

    async def script(shell: Shell, told: Told, pilot: Pilot[int]) -> None:
        drawn = told.drawn

        def many() -> None:
            told.notes.append("news")
            for _ in range(1000):
                told.news()

        thread = threading.Thread(target=many)
        thread.start()
        thread.join()
        while "news" not in shown(shell):
            await pilot.pause()
        assert told.drawn - drawn < 10

    shell = play(script)
    shell.news()  # the loop is closed by now


def test_other_sizes() -> None:
    """The picture is drawn for the new size, also for one that has no room."""

    async def script(shell: Shell, told: Told, pilot: Pilot[int]) -> None:
        for width, height in ((20, 5), (1, 1), (200, 60)):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            assert shown(shell)[0] == f"{width}x{height}"[:width]

    play(script)


def test_the_mouse() -> None:
    async def script(shell: Shell, told: Told, pilot: Pilot[int]) -> None:
        await pilot.click(offset=(7, 3))
        assert told.notes == ["click 7 3"]

    play(script)


@pytest.mark.parametrize(("keys", "status"), [("q", 0), ("ctrl+c", 130), ("ctrl+q", None)])
def test_it_ends(keys: str, status: int | None) -> None:
    """With the exit status of what ended it."""

    async def script(shell: Shell, told: Told, pilot: Pilot[int]) -> None:
        await pilot.press(keys)

    assert play(script).return_value == status


def test_it_ends_when_the_terminal_is_gone() -> None:
    """With the status of the signal that others get then."""

    async def script(shell: Shell, told: Told, pilot: Pilot[int]) -> None:
        while shell.return_value is None:
            await pilot.pause(0.05)

    assert play(script, is_gone=lambda: True).return_value == 129


def test_no_colours_where_none_are_wanted() -> None:
    """Every style is one; without colours the difference is in weight."""
    assert set(styles({})) == set(Style)
    assert all(style.color is None for style in styles({"NO_COLOR": "1"}).values())
    assert any(style.color is not None for style in styles({"NO_COLOR": ""}).values())
