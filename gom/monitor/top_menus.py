"""The menus of `gom top` that select rows: by user, by node, and the order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from gom.monitor.rows import NodeRow
from gom.monitor.spans import Span, Style, fit, line, visible
from gom.monitor.table import MergedTable
from gom.monitor.top_dialogs import Choice, Menu

#: The keys that order the rows.
SORTS: Final = {"P": "cpu", "M": "rss", "T": "time", "I": "io", "N": "pid", "S": "start"}
_UP: Final = {True: Span("up", Style.GOOD), False: Span("down", Style.BAD)}


def user_menu(table: MergedTable | None, current: str) -> Menu:
    """Return the users of the rows that are there, those with most rows first."""
    count = Counter(each.user for each in ([] if table is None else table.processes()))
    choices = [Choice("", line("everybody"))]
    choices += [
        Choice(name, line(f"{fit(visible(name), 20)} ", Span(f"{number} rows here", Style.DIM)))
        for name, number in count.most_common()
        if name
    ]
    return _menu("processes of whom?", choices, current)


def node_menu(nodes: Sequence[NodeRow], current: int) -> Menu:
    """Return all nodes, and each of them."""
    choices = [Choice("0", line("all nodes"))]
    choices += [
        Choice(str(node.id), line(f"{node.id:>4} {fit(visible(node.name), 16)} ", _UP[node.up]))
        for node in nodes
    ]
    return _menu("processes of which node?", choices, str(current))


def sort_menu(current: str) -> Menu:
    """Return the orders, with the key of each."""
    choices = [
        Choice(sort, line(f"{sort:<6}", Span(f" key {key}", Style.DIM))) for key, sort in SORTS.items()
    ]
    return _menu("order by what?", choices, current)


def _menu(title: str, choices: Sequence[Choice], current: str) -> Menu:
    return Menu(title, choices, next((at for at, each in enumerate(choices) if each.value == current), 0))
