"""Which processes `gom top` asks the nodes for: what a person filters, sorts, and scrolls to."""

from __future__ import annotations

import pytest

from gom.monitor.feed import ProcessQuery
from tests.unit.gom.monitor.cluster import a_process
from tests.unit.gom.monitor.viewer import Viewer


def test_how_many_of_a_node_are_shown() -> None:
    """And more are asked for when the window comes to the end of those that are there."""
    viewer = Viewer([a_process(pid, cpu_percent=float(pid)) for pid in range(20)], matched=312)
    viewer.size = (100, 20)
    assert "20 of 312 on node 1" in "\n".join(viewer.look())
    assert viewer.feed.wants == []
    viewer.press("end")
    assert viewer.feed.wants[0].top == 40


def test_the_filter_goes_to_the_nodes() -> None:
    """What is there is filtered while it is typed; the nodes are asked when typing pauses, or at Enter."""
    viewer = Viewer()
    picture = viewer.press("/", "M", "a", "k")
    assert "filter: Mak_" in picture
    assert "make all" in picture
    assert "xz" not in picture
    assert viewer.feed.wants == []
    viewer.know(at=2.0)
    viewer.look()
    assert [wanted.match for wanted in viewer.feed.wants] == ["Mak"]
    viewer.press("e", "enter")
    assert viewer.feed.wants[-1].match == "Make"
    viewer.press("escape")
    assert viewer.feed.wants[-1] == ProcessQuery()
    assert "xz" in "\n".join(viewer.look())


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        (["M"], ProcessQuery(sort="rss")), (["T"], ProcessQuery(sort="time")),
        (["I"], ProcessQuery(sort="io")), (["N"], ProcessQuery(sort="pid")),
        (["S"], ProcessQuery(sort="start")), (["J"], ProcessQuery(jobs=True)),
        (["s", "down", "enter"], ProcessQuery(sort="rss")), (["u", "b", "enter"], ProcessQuery(user="bob")),
        (["n", "2", "enter"], ProcessQuery(node=2)), (["t"], ProcessQuery(top=10_000)),
    ],
)  # fmt: skip
def test_keys_that_select(keys: list[str], wanted: ProcessQuery) -> None:
    """The nodes select and sort, not this program."""
    viewer = Viewer()
    viewer.press(*keys)
    assert viewer.feed.wants == [wanted]


def test_what_is_pasted_is_text() -> None:
    """It goes into the filter; elsewhere it is dropped, and never acts."""
    viewer = Viewer()
    viewer.screen.paste("ky")
    assert "┌" not in viewer.press("/")
    viewer.screen.paste("ky")
    assert "filter: ky_" in "\n".join(viewer.look())


def test_the_first_row_needs_few_rows() -> None:
    """Whoever has looked at many and goes back asks for no more than a screen shows."""
    viewer = Viewer([a_process(pid, cpu_percent=float(pid)) for pid in range(40)], matched=312)
    for top in (40, 80):
        viewer.press("end")
        assert viewer.feed.wants[-1].top == top
        viewer.know(wanted=viewer.feed.wants[-1])
    viewer.press("home")
    assert viewer.feed.wants[-1].top == 20


def test_the_mouse() -> None:
    """A click chooses a row, a second one shows more, one on a heading decides the order."""
    viewer = Viewer()
    viewer.screen.click(30, 6)
    assert viewer.look()[6].startswith(">")
    viewer.screen.click(30, 6)
    assert "identity 2-12-9" in "\n".join(viewer.look())
    viewer.press("escape")
    heading = viewer.look()[4]
    viewer.screen.click(heading.index("RSS"), 4)
    assert viewer.feed.wants[-1].sort == "rss"
    viewer.screen.wheel(3)
    viewer.look()
