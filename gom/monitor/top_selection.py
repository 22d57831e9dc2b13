"""What `gom top` asks the nodes for: which rows, how many, and the filter that is being typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gom.monitor.feed import ClusterState, ProcessQuery
from gom.monitor.table import MergedTable, NodeRows

#: Rows of each node at most. More are asked for when the window comes to the end of those that are there.
MAX_TOP: Final = 100_000
#: Rows of all nodes that a tree asks for at once.
TREE_ROWS: Final = 20_000
#: Rows of all nodes that are asked for at first; more when the window comes to their end.
FIRST_MOST: Final = 100
#: Windows that these rows fill at least, so that a step of one window has its rows already.
WINDOWS: Final = 2
#: Processes that are asked for wherever they rank, and seconds for which they have to be the same before.
MAX_PINNED: Final = 32
PINNING_PAUSE: Final = 0.3
#: Seconds for which typing has to pause before the nodes are asked with the new filter.
TYPING_PAUSE: Final = 0.3
#: Characters of a filter.
MAX_FILTER: Final = 200


class ListSelection:
    """
    Decides which rows the nodes are asked for.

    :param wanted: what was asked for at first. :param ask: asks for something else.
    :ivar typing: the filter that is being typed; None when none is.
    """

    def __init__(self, wanted: ProcessQuery, ask: Callable[[ProcessQuery], None]) -> None:
        self.wanted = wanted
        self.typing: str | None = None
        self._ask = ask
        self._first_top = wanted.top
        self._tree_top = 0
        self._first_most = wanted.most
        self._typed_at = 0.0
        self._pinned: tuple[str, ...] = ()
        self._pinned_at = 0.0

    def want(self, **values: object) -> None:
        """Ask with other values of `ProcessQuery` from now on."""
        wanted = self.wanted._replace(**values)  # type: ignore[arg-type]
        if wanted != self.wanted:
            self.wanted = wanted
            self._ask(wanted)

    # -- the filter

    def begin(self, now: float) -> None:
        """Begin to type a filter, from the one that there is."""
        self.typing, self._typed_at = self.wanted.match, now

    def press(self, key: str, text: str, now: float) -> bool:
        """Take a key while a filter is typed. Returns whether it is one of typing."""
        typed = self.typing or ""
        self._typed_at = now
        if key in ("enter", "escape"):
            self.typing = None
            self.want(match=typed if key == "enter" else "")
        elif key == "backspace":
            self.typing = typed[:-1]
        elif key == "ctrl+u":
            self.typing = ""
        elif text and len(typed) < MAX_FILTER:
            self.typing = typed + text
        else:
            return False
        return True

    def paste(self, text: str, now: float) -> None:
        """Take text that is pasted; it is dropped when no filter is being typed."""
        if self.typing is not None:
            self.typing, self._typed_at = (self.typing + text)[:MAX_FILTER], now

    def local_match(self, snapshot: ClusterState) -> str:
        """Return by what the rows that are there are filtered here, until the nodes have answered with it."""
        needle = self.wanted.match if self.typing is None else self.typing
        shown = snapshot.wanted
        return "" if shown is not None and shown.match == needle else needle.casefold()

    # -- how many rows

    def follow(self, snapshot: ClusterState, height: int, at_end: bool) -> None:
        """
        Ask the nodes with the filter when typing pauses, and for more rows of each when there is need.

        :param height: of the window. :param at_end: whether it shows the last of the rows that are there.
        """
        if self.typing is not None and snapshot.at - self._typed_at > TYPING_PAUSE:
            self.want(match=self.typing, top=self._tree_top or min(self.wanted.top, self._enough(height)))
        table = snapshot.table
        if table is None or snapshot.wanted != self.wanted:
            return
        wanted = self.wanted
        if wanted.most and not at_end and wanted.most < WINDOWS * height:
            self.want(most=WINDOWS * height)
        elif at_end and wanted.most and table.received >= wanted.most:
            self.want(most=min(2 * wanted.most, MAX_TOP))
        elif at_end and wanted.top < MAX_TOP and any(map(_has_more, table.nodes.values())):
            self.want(top=min(2 * wanted.top, MAX_TOP))

    def pin(self, pinned: tuple[str, ...], table: MergedTable | None, now: float) -> None:
        """
        Keep asking for processes that a person looks at, when the daemon leaves some rows out.

        :param pinned: as in `ProcessQuery`. Nothing is asked while they change, as under a moving cursor.
        """
        if pinned != self._pinned:
            self._pinned, self._pinned_at = pinned, now
        wanted = self.wanted
        if not wanted.most or table is None or pinned[:MAX_PINNED] == wanted.pinned:
            return
        is_cut = table.received >= wanted.most
        if (is_cut or not pinned) and now - self._pinned_at >= PINNING_PAUSE:
            self.want(pinned=pinned[:MAX_PINNED])

    def shrink(self, height: int) -> None:
        """Ask for no more rows than a window of that height shows."""
        self.want(top=min(self.wanted.top, self._enough(height)), most=self._few(height))

    def _few(self, height: int) -> int:
        """Return how many rows of all nodes are enough for a window; 0 while a tree needs them all."""
        return min(self.wanted.most, max(FIRST_MOST, WINDOWS * height))

    def _enough(self, height: int) -> int:
        """Return how many rows of each node fill the window, whichever node has them."""
        top = self._first_top
        while top < height:
            top *= 2
        return top

    def grow_for_tree(self, is_tree: bool, nodes: int) -> None:
        """
        Ask for many rows of each of so many nodes, so that parents are among them; or no longer.

        It stays so whatever else is selected.
        """
        self._tree_top = max(self._first_top, TREE_ROWS // max(1, nodes)) if is_tree else 0
        if is_tree:
            self.want(top=self._tree_top, most=0, pinned=())
        else:
            self.want(top=self._first_top, most=self._first_most)

    def only_node(self, node: int) -> None:
        """Ask for the processes of one node; 0 for all."""
        self.want(node=node, top=self._tree_top or self._first_top)

    def clear(self) -> None:
        """Ask for all processes again."""
        self.want(match="", user="", jobs=False, node=0, top=self._tree_top or self._first_top)


def _has_more(rows: NodeRows) -> bool:
    return rows.matched is not None and rows.matched > len(rows.lines)
