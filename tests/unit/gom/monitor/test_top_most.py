"""Which rows of a large cluster `gom top` asks for: those of its window, and those that a person looks at."""

from __future__ import annotations

import json
from collections.abc import Generator

import pytest

from gom.monitor.feed import ClusterFeed, ProcessQuery, kept
from gom.monitor.rows import ProcessRow
from gom.monitor.subscription import DaemonEndpoints, Subscription
from gom.monitor.table import MergedTable, NodeRows, read_round
from tests.unit.gom.monitor.cluster import a_process, a_snapshot, row
from tests.unit.gom.monitor.viewer import Viewer

MANY = [a_process(pid, 1 + pid % 5, cpu_percent=float(pid)) for pid in range(1, 101)]
FEW = ProcessQuery(most=100)


@pytest.fixture
def viewer() -> Viewer:
    """A screen of the first hundred of 75,000 processes."""
    made = Viewer(MANY, wanted=FEW, matched=15_000)
    made.know(table=cut(MANY, 75_000))
    made.screen._selection.wanted = FEW
    made.screen._selection._first_most = 100
    made.look()
    return made


def cut(processes: list[ProcessRow], total: int) -> MergedTable:
    """Return a table of which the daemon said how many there are."""
    table = a_snapshot(processes, wanted=FEW, matched=15_000).table
    assert table is not None
    nodes = {node: rows._replace(total=total) for node, rows in table.nodes.items()}
    return MergedTable("cpu", nodes, 1.0)


def test_the_words() -> None:
    """The daemon chooses; the nodes are asked the same whatever it chooses."""
    words = FEW._replace(pinned=("1-2-3@1",)).words()
    assert words[:4] == ("--most=100", "--with=1-2-3@1", "@all", "ps")
    assert FEW.words()[1:] == ProcessQuery().words()
    assert FEW.is_like(ProcessQuery(pinned=("1-2-3@1",)))
    assert not FEW.is_like(ProcessQuery(sort="rss"))


def test_all_are_counted(viewer: Viewer) -> None:
    """Also those that were not sent."""
    assert viewer.look()[-1].endswith(" 1/75000")


def test_more_are_asked_for_at_the_end(viewer: Viewer) -> None:
    """First of the daemon, then of the nodes; and no more than a screen needs at the first row."""
    viewer.press("end")
    assert viewer.feed.wants[-1] == FEW._replace(most=200)
    viewer.know(wanted=viewer.feed.wants[-1])
    viewer.press("end")
    assert viewer.feed.wants[-1].top == 40
    viewer.know(wanted=viewer.feed.wants[-1])
    viewer.press("home")
    assert viewer.feed.wants[-1] == FEW._replace(top=20)


def test_what_is_looked_at_is_asked_for(viewer: Viewer) -> None:
    """Once the cursor has come to rest; and no longer when it follows the order again."""
    viewer.press("down", "down")
    assert viewer.feed.wants == []
    viewer.know(at=2.0)
    viewer.look()
    assert viewer.feed.wants[-1].pinned == (f"{MANY[-3].identity}@{MANY[-3].node}",)
    viewer.know(wanted=viewer.feed.wants[-1], at=3.0)
    viewer.press("home")
    viewer.know(at=4.0)
    viewer.look()
    assert not viewer.feed.wants[-1].pinned


def test_marked_rows_are_asked_for(viewer: Viewer) -> None:
    """All of them."""
    viewer.press("space", "space")
    viewer.know(at=2.0)
    viewer.look()
    assert len(viewer.feed.wants[-1].pinned) == 3  # and the one under the cursor


def test_nothing_is_pinned_where_all_rows_come(viewer: Viewer) -> None:
    """A small cluster is not asked anew for every step of the cursor."""
    viewer.know(table=cut(MANY[:50], 50))
    viewer.press("down", "down")
    viewer.know(at=9.0)
    viewer.look()
    assert not any(wanted.pinned for wanted in viewer.feed.wants)


def test_a_tree_needs_all_rows(viewer: Viewer) -> None:
    """Parents may rank anywhere."""
    viewer.press("t")
    assert viewer.feed.wants[-1].most == 0
    viewer.press("t")
    assert viewer.feed.wants[-1].most == 100


def test_a_tree_keeps_all_rows_whatever_is_selected(viewer: Viewer) -> None:
    """A filter, one node, all of them again: parents may rank anywhere there, too."""
    viewer.press("t")
    all_rows = viewer.feed.wants[-1].top
    assert all_rows >= 1000
    for keys in (("/", "x", "enter"), ("n", "down", "enter"), ("escape",), ("M",), ("J",), ("escape",)):
        viewer.press(*keys)
        viewer.know(at=viewer.feed.now.at + 1.0)
        viewer.look()
        assert (viewer.feed.wants[-1].top, viewer.feed.wants[-1].most) == (all_rows, 0)
    viewer.press("t")
    assert viewer.feed.wants[-1].top < all_rows
    viewer.press("n", "down", "enter")
    assert viewer.feed.wants[-1].top < all_rows


def test_the_total_of_a_round() -> None:
    """Is in every row, and is the daemon's own number."""
    process = a_process(7, 1, command='", "total": 1, "')
    values = {**row(process), "matched": 9, "rows_age": 0, "total": 75, "round": 1, "rows": 1}
    found = read_round([json.dumps(values).encode()], "cpu", 1.0, {})
    assert found == {1: NodeRows(1, found[1].lines, 1.0, 0.0, 9, total=75)}
    assert MergedTable("cpu", found, 1.0).total == 75


def test_rows_stay_for_another_number_of_them() -> None:
    """A silent node shows them while more are asked for."""
    snapshot = a_snapshot(MANY, wanted=FEW)
    assert kept(snapshot, FEW._replace(most=200, top=40, pinned=("1-2-3@1",)))
    assert not kept(snapshot, FEW._replace(match="x"))


class Followed(ClusterFeed):
    """A feed whose subscriptions do nothing by themselves."""

    def __init__(self) -> None:
        super().__init__(DaemonEndpoints((), ""), 1.0, FEW, lambda: None, lambda: 0.0)
        self.begun: list[Subscription] = []
        self._following = self._begin(self._processes_of(FEW))

    def _begin(self, work: object) -> Subscription:
        def nothing(_subscription: Subscription) -> Generator[None, None, None]:
            yield

        self.begun.append(Subscription(DaemonEndpoints((), ""), nothing, lambda *_: None))
        return self.begun[-1]


def test_the_daemon_goes_on_watching_the_nodes() -> None:
    """What is asked with other options of the daemon alone begins before its predecessor ends."""
    feed = Followed()
    feed.want(FEW._replace(most=200))
    assert [each.stopped for each in feed.begun] == [False, False]
    feed.want(FEW._replace(most=400))
    feed._stop_replaced()  # the first rows have come
    assert [each.stopped for each in feed.begun] == [True, True, False]
    feed.want(FEW._replace(match="x"))
    assert [each.stopped for each in feed.begun] == [True, True, True, False]
    feed.stop()
    assert feed.begun[-1].stopped
