"""
`gom top` as a program: what each key does to the rows, the dialogs and the selection that the nodes make.

It draws from one snapshot and knows nothing of the terminal; `gom.monitor.screen` shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from gom.monitor import top_detail, top_dialogs, top_help, top_menus, top_view
from gom.monitor.feed import ClusterFeed, ClusterState, ProcessQuery
from gom.monitor.rows import ProcessRow
from gom.monitor.spans import Line, Style
from gom.monitor.subscription import DaemonEndpoints
from gom.monitor.top_actions import ActionResult, Actor
from gom.monitor.top_columns import sort_at
from gom.monitor.top_dialogs import Dialog, Renice, Step
from gom.monitor.top_list import ListRow, ProcessList
from gom.monitor.top_migrate import Migrate
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
        self._actor: Actor | None = None
        self._list = ProcessList()
        self._history = top_detail.History()
        self._snapshot = ClusterState(0.0)
        self._dialog: Dialog | None = None
        self._acting_on: tuple[ProcessRow, ...] = ()
        self._purpose = ""
        self._message: tuple[str, Style, float] = ("", Style.PLAIN, 0.0)
        self._doing = 0
        self._shown: list[ListRow] = []
        self._first_line = 0
        self._width = 80
        self._height = 1

    def start(self, changed: Callable[[], None]) -> None:
        """See `Program.start`."""
        self._feed = self._make_feed(changed)
        self._actor = self._make_actor(changed)
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
        return lines if self._dialog is None else top_view.with_dialog(lines, self._dialog, columns, rows)

    def _take_news(self) -> None:
        assert self._feed is not None
        assert self._actor is not None
        self._snapshot = self._feed.snapshot()
        self._list.match = self._selection.local_match(self._snapshot)
        lost = self._list.update(self._snapshot.table)
        if lost and self._dialog is None:
            self._say(
                f"the process under the cursor ({lost.split('-')[1]}) is no longer in the list", Style.WARN
            )
        for answer in self._actor.take():
            self._answered(answer)
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

    # -- answers

    def _answered(self, answer: ActionResult) -> None:
        if answer.key[0] == "act":
            self._doing = max(0, self._doing - 1)
            rest = f" ({self._doing} to go)" if self._doing else ""
            if answer.done:
                self._say(f"{answer.text}{rest}", Style.GOOD)
            else:
                self._say(f"refused for {answer.about}: {answer.text}{rest}", Style.BAD)
        elif self._dialog is not None:
            self._follow(self._dialog.answer(answer))

    def _follow(self, step: Step) -> None:
        """Do what a dialog's step says."""
        assert self._actor is not None
        dialog = self._dialog
        if step.close:
            self._close()
        if step.ask:
            acts = sum(each.key[0] == "act" for each in step.ask)
            if not self._actor.ask(*step.ask):
                self._say("too many requests are under way: wait for their answers", Style.BAD)
            elif acts:
                self._doing += acts
                self._say(f"asked: {step.ask[0].request.verb} {step.ask[0].about}", Style.DIM)
                self._list.marks.clear()
        if step.value is not None:
            self._chosen(dialog, step.value)

    def _chosen(self, dialog: Dialog | None, value: str) -> None:
        """Go on from a menu: to the confirmation, or to another selection of rows."""
        if isinstance(dialog, Migrate):
            self._open(dialog.confirmation(value), "confirm")
        elif isinstance(dialog, Renice):
            self._open(top_dialogs.renicing(int(value), self._acting_on), "confirm")
        elif self._purpose == "signal":
            self._open(top_dialogs.sending(value, self._acting_on), "confirm")
        elif self._purpose == "user":
            self._selection.want(user=value)
        elif self._purpose == "node":
            self._selection.only_node(int(value))
        elif self._purpose == "sort":
            self._selection.want(sort=value)

    def _open(self, dialog: Dialog, purpose: str) -> None:
        """Open a dialog. Rows do not move while it is open."""
        self._list.hold()
        self._dialog = dialog
        self._purpose = purpose

    def _close(self) -> None:
        self._dialog = None
        self._list.release()

    # -- keys

    def press(self, key: str, text: str) -> None:
        """See `Program.press`."""
        if self._dialog is not None:
            self._follow(self._dialog.press(key, text))
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
        elif key == "enter":
            self._show_detail()
        elif key == "escape":
            self._clear()
        elif key in ("f1", "f10"):
            _KEYS["h" if key == "f1" else "q"](self)

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

    # -- dialogs

    def _targets(self) -> tuple[ProcessRow, ...]:
        """Return the processes that a key acts on, as they are now; says so when there are none."""
        table = self._snapshot.table
        if self._snapshot.role == "read":
            self._say("you may only look: a token of role user or admin may act, see `gom token`", Style.BAD)
            return ()
        found = [] if table is None else [
            process for identity in self._list.chosen() if (process := table.find(identity)) is not None
        ]  # fmt: skip
        if not found:
            self._say("there is no process under the cursor", Style.WARN)
        return tuple(found)

    def _act(self, purpose: str, dialog: Callable[[Sequence[ProcessRow]], Dialog]) -> None:
        if targets := self._targets():
            self._acting_on = targets
            self._open(dialog(targets), purpose)

    def _signal(self) -> None:
        self._act("signal", lambda _targets: top_dialogs.signal_menu())

    def _renice(self) -> None:
        self._act("renice", Renice)

    def _lock(self) -> None:
        self._act("confirm", lambda targets: top_dialogs.locking(not targets[0].lock, targets))

    def _migrate(self) -> None:
        self._act("migrate", lambda targets: Migrate(self._snapshot.nodes, targets))
        if isinstance(self._dialog, Migrate):
            self._follow(Step(ask=self._dialog.ask()))

    def _show_detail(self) -> None:
        table, identity = self._snapshot.table, self._list.selected()
        process = None if table is None or identity is None else table.find(identity)
        if process is None:
            return

        def find() -> ProcessRow | None:
            newest = self._snapshot.table
            return None if newest is None else newest.find(process.identity)

        detail = top_detail.Detail(process, find, self._history, self._when)
        self._open(detail, "detail")
        self._follow(Step(ask=detail.ask()))

    def _choose_user(self) -> None:
        self._open(top_menus.user_menu(self._snapshot.table, self._selection.wanted.user), "user")

    def _choose_node(self) -> None:
        self._open(top_menus.node_menu(self._snapshot.nodes, self._selection.wanted.node), "node")

    def _choose_sort(self) -> None:
        self._open(top_menus.sort_menu(self._selection.wanted.sort), "sort")

    def _help(self) -> None:
        self._open(top_help.Help(), "help")

    # -- the mouse

    def click(self, column: int, row: int) -> None:
        """See `Program.click`: it chooses a row, a second one shows more; a heading decides the order."""
        if self._dialog is not None:
            return
        at = row - self._first_line
        if at == -1:
            self._click_heading(column)
        elif 0 <= at < len(self._shown):
            place = self._list.top + at
            if place == self._list.cursor and self._list.is_kept:
                self._show_detail()
            else:
                self._list.go(place)
                self._list.hold_cursor()

    def _click_heading(self, column: int) -> None:
        sort = sort_at(self._width, column)
        if sort:
            self._selection.want(sort=sort)

    def wheel(self, steps: int) -> None:
        """See `Program.wheel`."""
        if self._dialog is not None:
            for _ in range(abs(steps)):
                self._follow(self._dialog.press("up" if steps < 0 else "down", ""))
        else:
            self._list.scroll(steps)


_KEYS: Final[dict[str, Callable[[TopScreen], None]]] = {
    "/": TopScreen._filter, "f": TopScreen._filter, "t": TopScreen._toggle_tree, "u": TopScreen._choose_user,
    "n": TopScreen._choose_node, "J": TopScreen._toggle_jobs, "U": TopScreen._unmark, "q": TopScreen._quit,
    "k": TopScreen._signal, "r": TopScreen._renice, "m": TopScreen._migrate, "l": TopScreen._lock,
    "s": TopScreen._choose_sort, "h": TopScreen._help, "?": TopScreen._help, "i": TopScreen._show_detail,
}  # fmt: skip
