"""`gom mon` as a live screen: its program alone, and in textual with keys, the mouse and other sizes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gom.monitor.mon_model import ClusterView
from gom.monitor.mon_moves import Move
from gom.monitor.mon_program import MonProgram
from gom.monitor.mon_view import Metric, MonLayout, View
from gom.monitor.spans import text_of
from tests.unit.gom.monitor.clusters import DOWN, cluster, node

NOW = 1_000_000.0


class Scripted:
    """A feed that knows what a test tells it."""

    def __init__(self, changed: Callable[[], None], known: ClusterView) -> None:
        self.changed = changed
        self.known = known
        self.running = False

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    def cluster(self) -> ClusterView:
        return self.known

    def tell(self, known: ClusterView) -> None:
        self.known = known
        self.changed()


class Screen:
    """A program with a scripted feed."""

    def __init__(self, known: ClusterView, view: View | None = None, begin: int = 0) -> None:
        self.feeds: list[Scripted] = []
        self.program = MonProgram(self._follow(known), view or View(), lambda: NOW, begin)

    def _follow(self, known: ClusterView) -> Callable[[Callable[[], None]], Scripted]:
        def follow(changed: Callable[[], None]) -> Scripted:
            self.feeds.append(Scripted(changed, known))
            return self.feeds[-1]

        return follow

    def start(self) -> Screen:
        self.program.start(lambda: None)
        return self

    def lines(self, columns: int = 80, rows: int = 24) -> list[str]:
        return [text_of(line).rstrip() for line in self.program.draw(columns, rows)]

    def press(self, *keys: str) -> None:
        for key in keys:
            self.program.press(key, key if len(key) == 1 else "")


THREE = cluster(node(1, name="alpha"), node(2, name="beta"), node(3, status=DOWN, name="gamma"))


def test_it_follows_from_start_to_stop() -> None:
    screen = Screen(THREE)
    assert screen.lines()[0].startswith("gom mon")
    screen.start()
    [feed] = screen.feeds
    assert feed.running
    assert "alpha" in screen.lines()[-3]
    screen.program.stop()
    assert not feed.running


@pytest.mark.parametrize("key", ["q", "Q"])
def test_q_ends_it_but_not_while_help_is_shown(key: str) -> None:
    screen = Screen(THREE).start()
    screen.press("h", key)
    assert not screen.program.finished
    screen.press(key)
    assert screen.program.finished


def test_keys_change_what_is_drawn() -> None:
    screen = Screen(THREE).start()
    screen.lines()
    screen.press("m")
    assert screen.lines()[1] == "memory used"
    screen.press("right", "right")
    assert screen.lines()[-1].startswith("beta (node 2) 10.0.0.2  up")
    screen.press("d")
    assert "gamma" not in "\n".join(screen.lines())
    screen.press("x", "x")
    assert screen.program.view.layout is MonLayout.MAP
    screen.press("h")
    assert "Any key leaves this page" in screen.lines()[0]


def test_it_begins_with_the_node_that_was_named_as_soon_as_that_is_known() -> None:
    many = cluster(*(node(number) for number in range(1, 101)))
    screen = Screen(ClusterView(), View(layout=MonLayout.BARS), begin=60).start()
    screen.lines()
    screen.feeds[0].tell(many)
    screen.lines()
    assert (screen.program.view.selected, screen.program.view.first) == (60, 27)


def test_a_screen_that_grows_scrolls_back() -> None:
    screen = Screen(cluster(*(node(number) for number in range(1, 101))), View(layout=MonLayout.BARS)).start()
    screen.lines(30)
    screen.press("end")
    screen.lines(30)
    assert screen.program.view.first == 100 - 23
    screen.lines(200)
    assert screen.program.view.first == 0


def test_a_click_selects_and_the_wheel_scrolls_by_lines() -> None:
    screen = Screen(cluster(*(node(number) for number in range(1, 1001)))).start()
    lines = screen.lines(80, 10)
    screen.program.click(6, 2)
    assert screen.program.view.selected == 1
    screen.program.click(0, 0)
    assert screen.program.view.selected == 0
    screen.program.wheel(3)
    assert screen.lines(80, 10)[2] != lines[2]
    assert screen.program.view.first % 74 == 0
    screen.program.wheel(-300)
    assert screen.program.view.first == 0


def test_there_is_something_to_see_before_anything_is_known() -> None:
    for columns, rows in ((1, 1), (20, 5), (80, 24)):
        screen = Screen(ClusterView(trouble="no daemon at unix:/x")).start()
        screen.press("right", "n", "+", "1", "enter")
        assert len(screen.lines(columns, rows)) == rows


# -- in textual


def in_textual(screen: Screen, size: tuple[int, int], steps: Callable[[object], Awaitable[None]]) -> str:
    """Run the program in textual, do the steps, and return the picture."""
    from gom.monitor.screen import Shell

    shell = Shell(screen.program, {})

    async def run() -> str:
        async with shell.run_test(size=size) as pilot:
            screen.program.start(shell.news)
            shell.news()
            await pilot.pause(0.1)
            await steps(pilot)
            await pilot.pause(0.1)
            return "\n".join(shell.picture.render_line(y).text.rstrip() for y in range(shell.size.height))

    return asyncio.run(run())


def test_the_screen_shows_it_and_takes_keys_and_clicks() -> None:
    screen = Screen(THREE)

    async def steps(pilot: object) -> None:
        await pilot.press("m", "right")  # type: ignore[attr-defined]

    told = in_textual(screen, (80, 24), steps)
    assert "memory used" in told
    assert told.splitlines()[-1].startswith("alpha (node 1)")
    assert screen.program.view.metric is Metric.MEMORY


def test_the_screen_shows_news_and_follows_its_size() -> None:
    screen = Screen(THREE)

    async def steps(pilot: object) -> None:
        await pilot.resize_terminal(20, 5)  # type: ignore[attr-defined]
        await pilot.click(offset=(1, 2))  # type: ignore[attr-defined]
        screen.feeds[0].tell(replace(THREE, moves=(Move(1, 2, NOW, 1, 3),), trouble="the daemon went away"))

    told = in_textual(screen, (80, 24), steps).splitlines()
    assert len(told) == 5
    assert told[0] == "the daemon went away"
    assert "▶" in told[-2]
    assert screen.program.view.selected == 1
