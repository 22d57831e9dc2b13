"""
`gom top` as a program: what each key does to the rows, and the selection that the nodes make.

It draws from one snapshot and knows nothing of the terminal; `gom.monitor.screen` shows it. What is done to
processes goes through dialogs: `gom.monitor.top_open_dialog`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gom.monitor import top_detail, top_menus, top_view
from gom.monitor.feed import ClusterFeed, ClusterState, ProcessQuery
from gom.monitor.spans import Line, Style
from gom.monitor.subscription import DaemonEndpoints
from gom.monitor.top_actions import Actor
from gom.monitor.top_columns import sort_at
from gom.monitor.top_list import ListRow, ProcessList
from gom.monitor.top_open_dialog import KEYS, OpenDialog
from gom.monitor.top_selection import ListSelection

#: Seconds for which an answer stays.
MESSAGE_TIME: Final = 15.0
#: Lines of an answer; they stand over the last rows.
_MAX_MESSAGE_LINES: Final = 4


class TopScreen:
    """
    The screen. See `gom.monitor.program.ScreenProgram` for its methods.

    :param when: writes a moment of the wall clock, in seconds since the epoch.
    :param feed: makes the feed, from what it is to call on news. :param actor: likewise, what sends requests.
    """

    def __init__(
        self,
        place: DaemonEndpoints,
        wanted: ProcessQuery,
        period: float,
        when: Callable[[float], str],
        feed: Callable[[Callable[[], None]], ClusterFeed] | None = None,
        actor: Callable[[Callable[[], None]], Actor] | None = None,
    ) -> None:
        self.finished = False
        self._selection = ListSelection(wanted, self._ask_feed)
        self._period = period
        self._when = when
        self._make_feed = feed or (lambda changed: ClusterFeed(place, period, wanted, changed))
        self._make_actor = actor or (lambda changed: Actor(place, changed))
        self._feed: ClusterFeed | None = None
        self._list = ProcessList()
        self._history = top_detail.History()
        self._snapshot = ClusterState(0.0)
        self._message: tuple[str, Style, float] = ("", Style.PLAIN, 0.0)
        self._dialog = OpenDialog(
            self._list, self._selection, self._history, lambda: self._snapshot, self._say, when
        )
        self._shown: list[ListRow] = []
        self._first_line = 0
        self._width = 80
        self._height = 1

    def start(self, changed: Callable[[], None]) -> None:
        """See `Program.start`."""
        self._feed = self._make_feed(changed)
        self._dialog.start(self._make_actor(changed))
        self._feed.start()

    def stop(self) -> None:
        """See `Program.stop`."""
        if self._feed is not None:
            self._feed.stop()

    def patience(self) -> float:
        """Return the seconds between two pictures that news ask for; none as long as there are no rows."""
        return 0.0 if self._snapshot.table is None else 0.75 * min(1.0, self._period)

    # -- drawing

    def draw(self, columns: int, rows: int) -> list[Line]:
        """See `Program.draw`."""
        self._width = columns
        self._height = height = top_view.table_height(rows)
        self._take_news()
        shown = self._list.rows(height)
        table = top_view.TableView(shown, self._list.top, self._list.cursor, self._list.total)
        if self._snapshot.table is not None:
            top_detail.notes(self._history, [each.process for each in shown], self._snapshot.table.at)
        self._shown = shown
        at = table.cursor - table.first
        selected = shown[at] if 0 <= at < len(shown) else None
        above = top_view.header(
            self._snapshot, self._selection.wanted, selected, columns, rows, self._period, self._when
        )
        self._first_line = len(above) + 1
        after = max(top_view.STALE_AFTER, 3 * self._period)
        lines = above + top_view.body(
            self._snapshot, self._selection.wanted, table, self._list.marks, columns, height, after
        )
        lines = lines[: rows - 1 if rows >= 3 else rows]
        if rows >= 3:
            message, style, until = self._message
            below = top_view.Below(
                self._selection.typing, message if until > self._snapshot.at else "", style
            )
            told = top_view.below(below, table, columns, max(1, min(_MAX_MESSAGE_LINES, rows // 3)))
            lines[rows - len(told) :] = told
        dialog = self._dialog.dialog
        return lines if dialog is None else top_view.with_dialog(lines, dialog, columns, rows)

    def _take_news(self) -> None:
        assert self._feed is not None
        self._snapshot = self._feed.snapshot()
        self._list.match = self._selection.local_match(self._snapshot)
        lost = self._list.update(self._snapshot.table)
        if lost and self._dialog.dialog is None:
            self._say(
                f"the process under the cursor ({lost.split('-')[1]}) is no longer in the list", Style.WARN
            )
        self._dialog.take_answers()
        at_end = self._list.top + self._height >= len(self._list)
        self._selection.follow(self._snapshot, self._height, at_end)
        self._selection.pin(self._looked_at(), self._snapshot.table, self._snapshot.at)

    def _looked_at(self) -> tuple[str, ...]:
        """Return the processes that are marked, or under a cursor that was moved, each with its node."""
        table = self._snapshot.table
        if table is None:
            return ()
        identities = self._list.kept()
        found = [process for each in identities if (process := table.find(each)) is not None]
        return tuple(f"{process.identity}@{process.node}" for process in found)

    def _ask_feed(self, wanted: ProcessQuery) -> None:
        assert self._feed is not None
        self._feed.want(wanted)

    def _say(self, sentence: str, style: Style = Style.PLAIN) -> None:
        self._message = (sentence, style, self._snapshot.at + MESSAGE_TIME)

    # -- keys

    def press(self, key: str, text: str) -> None:
        """See `Program.press`."""
        if self._dialog.dialog is not None:
            self._dialog.press(key, text)
        elif self._selection.typing is not None:
            if not self._selection.press(key, text, self._snapshot.at):
                self._move(key)
        elif not self._move(key):
            self._command(key, text)

    def _move(self, key: str) -> bool:
        moves: dict[str, Callable[[], None]] = {
            "up": lambda: self._list.move(-1), "down": lambda: self._list.move(1),
            "pageup": lambda: self._list.page(-1), "pagedown": lambda: self._list.page(1),
            "home": self._go_home, "end": lambda: self._list.go(len(self._list) - 1),
            "space": self._list.toggle_mark,
        }  # fmt: skip
        if key in moves:
            moves[key]()
            return True
        return False

    def _go_home(self) -> None:
        """Go to the first row, and ask for no more rows than a screen shows."""
        self._list.go(0)
        if not self._list.is_tree:
            self._selection.shrink(self._height)

    def _command(self, key: str, text: str) -> None:
        if text in top_menus.SORTS:
            self._selection.want(sort=top_menus.SORTS[text])
        elif text in _KEYS:
            _KEYS[text](self)
        elif text in KEYS:
            KEYS[text](self._dialog)
        elif key == "enter":
            self._dialog.show_detail()
        elif key == "escape":
            self._clear()
        elif key == "f1":
            self._dialog.help()
        elif key == "f10":
            self._quit()

    def paste(self, text: str) -> None:
        """Take text that the person pastes: for the filter, nothing else takes any."""
        self._selection.paste(text, self._snapshot.at)

    def _clear(self) -> None:
        """Go back to all rows: marks first, then whatever selects."""
        self._message = ("", Style.PLAIN, 0.0)
        if self._list.marks:
            self._list.marks.clear()
            return
        self._selection.clear()

    def _filter(self) -> None:
        self._selection.begin(self._snapshot.at)

    def _toggle_tree(self) -> None:
        self._list.is_tree = not self._list.is_tree
        self._list.arrange()
        self._selection.grow_for_tree(self._list.is_tree, sum(node.up for node in self._snapshot.nodes))

    def _toggle_jobs(self) -> None:
        self._selection.want(jobs=not self._selection.wanted.jobs)

    def _unmark(self) -> None:
        self._list.marks.clear()

    def _quit(self) -> None:
        self.finished = True

    # -- the mouse

    def click(self, column: int, row: int) -> None:
        """See `Program.click`: it chooses a row, a second one shows more; a heading decides the order."""
        if self._dialog.dialog is not None:
            return
        at = row - self._first_line
        if at == -1:
            self._click_heading(column)
        elif 0 <= at < len(self._shown):
            place = self._list.top + at
            if place == self._list.cursor and self._list.is_kept:
                self._dialog.show_detail()
            else:
                self._list.go(place)
                self._list.hold_cursor()

    def _click_heading(self, column: int) -> None:
        sort = sort_at(self._width, column)
        if sort:
            self._selection.want(sort=sort)

    def wheel(self, steps: int) -> None:
        """See `Program.wheel`."""
        if self._dialog.dialog is not None:
            for _ in range(abs(steps)):
                self._dialog.press("up" if steps < 0 else "down", "")
        else:
            self._list.scroll(steps)


#: The keys that open no dialog; `gom.monitor.top_open_dialog.KEYS` has the others.
_KEYS: Final[dict[str, Callable[[TopScreen], None]]] = {
    "/": TopScreen._filter, "f": TopScreen._filter, "t": TopScreen._toggle_tree, "J": TopScreen._toggle_jobs,
    "U": TopScreen._unmark, "q": TopScreen._quit,
}  # fmt: skip
