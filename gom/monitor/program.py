"""What a live screen is to the shell that shows it: it draws lines, and takes keys, the mouse and time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gom.monitor.spans import Line


class ScreenProgram(Protocol):
    """
    One live screen. All methods but the callback of `start` are called on one thread; none of them blocks.

    :ivar finished: whether it is over: the shell ends.
    """

    finished: bool

    def start(self, changed: Callable[[], None]) -> None:
        """Begin to follow the cluster; ``changed`` is called, on any thread, when there is news."""

    def stop(self) -> None:
        """End what `start` began. Does not wait for it."""

    def draw(self, columns: int, rows: int) -> list[Line]:
        """Return the picture: ``rows`` lines, which are cut off or padded to ``columns`` cells."""

    def press(self, key: str, text: str) -> None:
        """
        Take a key.

        :param key: its name: ``a``, ``A``, ``up``, ``pageup``, ``enter``, ``escape``, ``space``, ``slash``,
            ``ctrl+l``, ``f1``, ... :param text: the character that it types; empty for none.
        """

    def click(self, column: int, row: int) -> None:
        """Take a click of the mouse at a cell of the picture."""

    def wheel(self, steps: int) -> None:
        """Take a turn of the mouse's wheel; ``steps`` is below 0 for up."""
