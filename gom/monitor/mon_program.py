"""`gom mon` as a live screen: what it draws, and what keys and the mouse do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from gom.monitor.mon_model import ClusterView
from gom.monitor.mon_screen import Drawn, draw, shown_nodes
from gom.monitor.mon_view import Page, View, go_to, press, scroll
from gom.monitor.spans import Line
from libgomd.wallclock import Wall


class Followed(Protocol):
    """Where the newest state of the cluster comes from."""

    def start(self) -> None:
        """Begin to follow; returns at once."""

    def stop(self) -> None:
        """End that. Does not wait."""

    def cluster(self) -> ClusterView:
        """Return what is known now."""


#: Makes what is followed; it is given what to call when there is something new.
Follow = Callable[[Callable[[], None]], Followed]
#: Names of keys that are no characters, in the shell and here.
_NAMES: Final = {"ctrl+n": "n", "ctrl+p": "p", "space": "n"}


class MonProgram:
    """
    A `Program` of `gom.monitor.program`.

    :param begin: id of the node to begin with; 0 for the first.
    """

    def __init__(self, follow: Follow, view: View, wall: Wall, begin: int = 0) -> None:
        self.finished = False
        self._follow = follow
        self._view = view
        self._wall = wall
        self._begin = begin
        self._followed: Followed | None = None
        self._drawn = Drawn([], Page(1), lambda x, y: 0)
        self._has_drawn = False

    @property
    def view(self) -> View:
        """What the person has chosen."""
        return self._view

    @property
    def has_nodes(self) -> bool:
        """Whether there is a picture of nodes already."""
        return self._has_drawn

    def start(self, changed: Callable[[], None]) -> None:
        """See `Program.start`."""
        self._followed = self._follow(changed)
        self._followed.start()

    def stop(self) -> None:
        """See `Program.stop`."""
        if self._followed is not None:
            self._followed.stop()

    def draw(self, columns: int, rows: int) -> list[Line]:
        """See `Program.draw`."""
        cluster = self._cluster()
        self._has_drawn = bool(cluster.nodes)
        if self._begin and cluster.nodes:
            self._view, self._begin = go_to(self._view, self._begin, self._ids(), self._drawn.page), 0
        drawn = draw(cluster, self._view, self._wall(), columns, rows)
        # Nodes may have gone, and the screen may have another size.
        fitting = scroll(self._view, 0, len(shown_nodes(cluster, self._view)), drawn.page)
        if fitting != self._view and not self._view.help:
            self._view = fitting
            drawn = draw(cluster, self._view, self._wall(), columns, rows)
        self._drawn = drawn
        return drawn.lines

    def press(self, key: str, text: str) -> None:
        """See `Program.press`."""
        if key in ("q", "Q") and self._view.number is None and not self._view.help:
            self.finished = True
            return
        self._view = press(self._view, text or _NAMES.get(key, key), self._ids(), self._drawn.page)

    def click(self, column: int, row: int) -> None:
        """See `Program.click`: select the node there, or none."""
        self._view = replace(self._view, selected=self._drawn.node_at(column, row), help=False)

    def wheel(self, steps: int) -> None:
        """See `Program.wheel`: scroll by as many nodes as stand in a line."""
        nodes = self._ids()
        self._view = scroll(self._view, steps * self._drawn.page.across, len(nodes), self._drawn.page)

    def _cluster(self) -> ClusterView:
        return ClusterView() if self._followed is None else self._followed.cluster()

    def _ids(self) -> tuple[int, ...]:
        return tuple(node.id for node in shown_nodes(self._cluster(), self._view))
