"""
The rows of `gom top`: which of them the window shows, the cursor, and the marks.

Theory of operation. The cursor stands on a process, not on a line. While it stands on the first line and
nobody has moved it, it follows the order. Once it was moved it keeps its process: the next rounds move the
window instead, so that this row stays on the same line of the screen. While a dialog is open the whole order
is held: values change, rows do not move, and a process that has ended leaves an empty row.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final, NamedTuple

from gom.monitor.rows import ProcessRow
from gom.monitor.table import MergedTable

#: Cells of a branch of the tree, at most; deeper ones are shown without their beginning.
MAX_BRANCH: Final = 40


class ListRow(NamedTuple):
    """
    One row of the window.

    :ivar process: None when it has ended, or its node says no more of it, while the order is held.
    :ivar branch: what stands before the command in a tree.
    """

    identity: str
    process: ProcessRow | None
    branch: str = ""


class ProcessList:
    """
    The rows in their order, as long as they are.

    :ivar marks: identities of marked processes. :ivar is_tree: whether children stand below their parents.
    :ivar match: in lower case: only rows with this in their command are shown. It is what the nodes do with
        ``--match``, until their answer is there.
    """

    def __init__(self) -> None:
        self.marks: set[str] = set()
        self.is_tree = False
        self.match = ""
        self._table: MergedTable | None = None
        self._order: list[str] | None = None
        self._branches: dict[str, str] = {}
        self._held = False
        self._cursor = 0
        self._top = 0
        self._identity: str | None = None
        self._height = 1

    # -- what it shows

    def update(self, table: MergedTable | None) -> str:
        """
        Take the newest table. Returns the identity that the cursor has lost, because it is no longer there.
        """
        self._table = table
        if not self._held:
            self._arrange()
        lost = ""
        if self._identity is not None:
            place = self._place(self._identity)
            if place is None:
                lost, self._identity = self._identity, None
            else:
                self._top += place - self._cursor
                self._cursor = place
        if table is not None and not self._held:
            self.marks &= set(table.identities()) if self.marks else set()
        self._keep_inside()
        return lost

    def _arrange(self) -> None:
        """Decide the order: that of the table, unless it is a tree or some rows are left out."""
        self._branches = {}
        self._order = None
        if self._table is None or not (self.is_tree or self.match):
            return
        found = self._table.processes()
        if self.match:
            found = [process for process in found if self.match in process.command.casefold()]
        if self.is_tree:
            self._branches = branches(found)
            self._order = list(self._branches)
        else:
            self._order = [process.identity for process in found]

    def __len__(self) -> int:
        if self._order is not None:
            return len(self._order)
        return 0 if self._table is None else len(self._table)

    @property
    def total(self) -> int:
        """How many rows there are, also those that the daemon has not sent."""
        if self._order is not None or self._table is None:
            return len(self)
        return max(self._table.total, len(self._table))

    def _identity_at(self, at: int) -> str:
        if self._order is not None:
            return self._order[at]
        assert self._table is not None
        return self._table.identity(at)

    def _place(self, identity: str) -> int | None:
        if self._order is not None:
            try:
                return self._order.index(identity)
            except ValueError:
                return None
        return None if self._table is None else self._table.place(identity)

    def rows(self, height: int) -> list[ListRow]:
        """Return the rows of the window, ``height`` at most; the window is moved to where the cursor is."""
        self._height = max(1, height)
        self._keep_inside()
        shown = []
        for at in range(self._top, min(self._top + self._height, len(self))):
            identity = self._identity_at(at)
            process = None if self._table is None else self._table.find(identity)
            shown.append(ListRow(identity, process, self._branches.get(identity, "")))
        return shown

    @property
    def top(self) -> int:
        """The place of the window's first row."""
        return self._top

    @property
    def cursor(self) -> int:
        """The place of the cursor."""
        return self._cursor

    @property
    def is_kept(self) -> bool:
        """Whether the cursor stays on its process when rows move."""
        return self._identity is not None

    def selected(self) -> str | None:
        """Return the identity of the row under the cursor; None when there is no row."""
        if self._identity is not None:
            return self._identity
        return self._identity_at(self._cursor) if self._cursor < len(self) else None

    def kept(self) -> list[str]:
        """Return the identities of the rows that have to stay: marked ones, and that of a kept cursor."""
        return sorted(self.marks | ({self._identity} if self._identity is not None else set()))

    def chosen(self) -> list[str]:
        """Return the identities of the marked rows, else of the row under the cursor."""
        if self.marks:
            return sorted(self.marks)
        selected = self.selected()
        return [] if selected is None else [selected]

    # -- moving

    def move(self, steps: int) -> None:
        """Move the cursor down, or up for steps below 0."""
        self.go(self._cursor + steps)

    def page(self, pages: int) -> None:
        """Move the cursor by whole windows."""
        self.move(pages * max(1, self._height - 1))

    def go(self, place: int) -> None:
        """Move the cursor to a place; the first one makes it follow the order again."""
        self._cursor = max(0, min(place, len(self) - 1))
        self._identity = self._identity_at(self._cursor) if self._cursor and len(self) else None
        self._keep_inside()

    def hold_cursor(self) -> None:
        """Keep the cursor on its process from now on, on the first line too."""
        self._identity = self.selected()

    def scroll(self, steps: int) -> None:
        """Move the window, and the cursor no more than it has to."""
        self._top = max(0, min(self._top + steps, len(self) - self._height))
        inside = max(self._top, min(self._cursor, self._top + self._height - 1))
        if inside != self._cursor:
            self.go(inside)

    def toggle_mark(self) -> None:
        """Mark the row under the cursor, or unmark it, and go to the next one."""
        identity = self.selected()
        if identity is not None:
            self.marks ^= {identity}
            self.move(1)

    def hold(self) -> None:
        """Hold the order: from now on rows do not move."""
        if not self._held:
            self.hold_cursor()
            if self._order is None and self._table is not None:
                self._order = self._table.identities()
            self._held = True

    def release(self) -> None:
        """Let rows move again."""
        if self._held:
            self._held = False
            self._arrange()
            self.update(self._table)

    def arrange(self) -> None:
        """Decide the order anew: the tree was chosen, or `match` has changed."""
        if not self._held:
            self._arrange()
            self.update(self._table)

    def _keep_inside(self) -> None:
        count = len(self)
        self._cursor = max(0, min(self._cursor, count - 1))
        self._top = max(0, min(self._top, count - self._height))
        if self._cursor < self._top:
            self._top = self._cursor
        elif self._cursor >= self._top + self._height:
            self._top = self._cursor - self._height + 1


def branches(processes: list[ProcessRow]) -> dict[str, str]:
    """
    Return the identities of processes as a tree, each with what stands before its command.

    Children stand below their parent, which is on the same node, in the order of the list. A process whose
    parent is not in the list stands on its own; so does one whose parents go round in a circle.
    """
    by_number = {(process.node, process.pid) for process in processes}
    children: dict[tuple[int, int], list[ProcessRow]] = defaultdict(list)
    roots = []
    for process in processes:
        parent = (process.node, process.ppid)
        if process.ppid and parent in by_number and process.ppid != process.pid:
            children[parent].append(process)
        else:
            roots.append(process)
    found: dict[str, str] = {}
    for root in roots:
        _grow(root, children, found)
    for process in processes:  # circles have no root
        if process.identity not in found:
            _grow(process, children, found)
    return found


def _grow(root: ProcessRow, children: dict[tuple[int, int], list[ProcessRow]], found: dict[str, str]) -> None:
    """Add a process and everything below it. Without recursion: a chain of parents may be long."""
    waiting = [(root, "", "")]
    while waiting:
        process, here, below = waiting.pop()
        if process.identity in found:
            continue
        found[process.identity] = here
        family = children.get((process.node, process.pid), [])
        below = below[-MAX_BRANCH:]
        for at in range(len(family) - 1, -1, -1):
            is_last = at == len(family) - 1
            own, under = ("└─", "  ") if is_last else ("├─", "│ ")
            waiting.append((family[at], below + own, below + under))
