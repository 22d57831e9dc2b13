"""Reading the database of the collectors, or this node's own file while that is away."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, cast

from gomd.history.postgresql.fallback import AWAY_SECONDS, DatabaseOrFile
from gomd.interfaces import IHistory
from libgomd.errors import SourceUnavailable


class _Database:
    """A database that hangs until its reader gives up. :ivar asked: how often it was read."""

    def __init__(self) -> None:
        self.asked = 0

    def fields(self, node: int) -> Sequence[str]:
        self.asked += 1
        raise SourceUnavailable("it did not answer")

    def events(self, since: float, until: float, kinds: Collection[str] = ()) -> Sequence[Any]:
        self.asked += 1
        raise SourceUnavailable("it did not answer")


class _File:
    def fields(self, node: int) -> Sequence[str]:
        return ["load"]

    def events(self, since: float, until: float, kinds: Collection[str] = ()) -> Sequence[Any]:
        return []


def test_a_database_that_hangs_is_not_asked_again_at_once() -> None:
    """A verb reads several times and has fifteen seconds: the file answers it in time."""
    now = [100.0]
    database = _Database()
    both = DatabaseOrFile(7, cast("IHistory", database), cast("IHistory", _File()), lambda: now[0])
    for _ in range(3):
        assert both.fields(3) == ["load"]
        assert both.events(0.0, 1.0) == []
    assert database.asked == 1
    now[0] += AWAY_SECONDS
    both.fields(3)
    assert database.asked == 2
