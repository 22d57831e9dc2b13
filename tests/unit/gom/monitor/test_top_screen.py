"""What the picture of `gom top` shows, without a terminal."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gom.monitor.feed import ClusterState
from gom.monitor.spans import Style, line_width, text_of
from gom.monitor.top_actions import ActionResult
from libgomd.wire.lines import Request
from tests.unit.gom.monitor.cluster import a_process, a_snapshot
from tests.unit.gom.monitor.viewer import KEYS, MAKE, XZ, Viewer


def test_the_picture() -> None:
    """Nodes, load, memory, jobs, the last event, and every process with its node."""
    picture = Viewer().look()
    assert picture[0].startswith("nodes 2 of 2 up   jobs 1   cpus 4   load 50 mean")
    assert "2.0G of 8.0G in use, 25 %" in picture[1]
    assert picture[2] == "event  at 5 join node 2 n2: up at 10.0.0.2"
    assert picture[3] == "1 of 1 on node 1"
    assert picture[4].split()[:6] == ["NODE", "HOME", "PID", "USER", "S", "%CPU↓"]
    assert picture[5].startswith(">   1")
    assert picture[5].endswith("xz -9 big")
    assert [text.split()[-1] for text in picture[5:8]] == ["big", "all", "60"]
    assert len(picture) == 24


def test_the_detail_of_a_process() -> None:
    """Its values, its share over time, and its files, of the node that it runs on."""
    viewer = Viewer()
    for second in range(2, 9):
        viewer.know(table=a_snapshot((XZ._replace(cpu_percent=second * 10.0), MAKE), at=float(second)).table)
        viewer.look()
    picture = viewer.press("enter")
    assert "identity 1-11-9" in picture
    assert "20.0 to 90.0 %" in picture
    asked = [each.request for each in viewer.actor.asked]
    assert Request("get", ("/proc/11/cgroup",), "1") in asked
    viewer.actor.answers.append(ActionResult(("file", XZ.identity, "cgroup"), True, "0::/user.slice"))
    viewer.actor.answers.append(ActionResult(("file", XZ.identity, "io"), False, "only its owner may see it"))
    viewer.size = (100, 40)
    picture = "\n".join(viewer.look())
    assert "0::/user.slice" in picture
    assert "only its owner may see it" in picture
    viewer.know(table=a_snapshot((MAKE,)).table)
    assert "its last values" in "\n".join(viewer.look())
    assert "identity" not in viewer.press("escape")


def test_a_silent_node_stays_greyed_with_its_age() -> None:
    """Its last good rows are there, in another style and with a mark; the line says how old they are."""
    viewer = Viewer()
    table = viewer.feed.now.table
    assert table is not None
    nodes = table.nodes | {1: table.nodes[1]._replace(age=70.0, error="node 1 is down")}
    viewer.know(table=type(table)("cpu", nodes, 1.0), trouble="")
    lines = viewer.screen.draw(100, 24)
    assert "as it was 70 s ago: node 1 is down" in text_of(lines[3])
    viewer.press("down")
    lines = viewer.screen.draw(100, 24)
    assert {span.style for span in lines[5]} <= {Style.STALE, Style.PLAIN}
    assert text_of(lines[5]).startswith("~")
    assert Style.STALE not in {span.style for span in lines[7]}
    assert text_of(lines[7]).startswith(" ")


def test_a_process_that_cannot_be_read_is_grey() -> None:
    """Its node is well, and tells that the row is old."""
    viewer = Viewer([XZ, MAKE._replace(age=60.0, stuck=True)])
    lines = viewer.screen.draw(100, 24)
    assert {span.style for span in lines[6]} == {Style.STALE}
    assert "S!" in text_of(lines[6])
    assert Style.STALE not in {span.style for span in lines[5]}


def test_a_daemon_that_is_gone_is_said() -> None:
    viewer = Viewer()
    viewer.know(trouble="no daemon at unix:/x: is gomd running?", at=100.0)
    assert viewer.look()[0].startswith("trying again: no daemon at unix:/x: is gomd running?")
    assert "xz -9 big" in "\n".join(viewer.look())


def test_escape_sequences_in_names_are_text() -> None:
    """Whoever names a process cannot steer the terminal of who looks."""
    evil = a_process(66, command="\x1b[2J\x1b]0;x\x07", user="\x1bc", state="\x1b", cantmove="\x1b")
    viewer = Viewer([evil], trouble="\x1b[1m", events=())
    for keys in ([], ["enter"], ["escape", "k", "enter"], ["escape", "u"], ["escape", "m"]):
        picture = viewer.press(*keys)
        assert "\x1b" not in picture
        assert "\x07" not in picture


@settings(deadline=None)
@given(st.lists(st.sampled_from(KEYS), max_size=12), st.integers(1, 130), st.integers(1, 30), st.booleans())
def test_any_keys_at_any_size(keys: list[str], columns: int, rows: int, empty: bool) -> None:
    """The picture is never taller than the screen, and 20x5 is one."""
    viewer = Viewer() if not empty else Viewer(())
    for key in keys:
        viewer.screen.press(key, key if len(key) == 1 else "")
        assert len(viewer.screen.draw(columns, rows)) <= rows


def test_a_tiny_terminal() -> None:
    """Twenty columns of five lines still show who uses the processor."""
    viewer = Viewer()
    viewer.size = (20, 5)
    lines = viewer.look()
    assert len(lines) == 5
    assert lines[0].split() == ["PID", "%CPU↓", "COMM…"]
    assert lines[1].split() == [">", "11", "90.0", "xz", "-…"]


def test_before_anything_is_known() -> None:
    viewer = Viewer()
    viewer.feed.now = ClusterState(0.0)
    picture = "\n".join(viewer.look())
    assert "waiting for the processes" in picture
    for key in KEYS:
        viewer.press(key)


def test_lines_are_as_wide_as_they_say() -> None:
    """Wide and combining characters do not move what stands behind them."""
    wide = a_process(5, user="計算機計算機", command="e\u0301計" * 80)
    viewer = Viewer([wide, XZ])
    for line in viewer.screen.draw(80, 24)[5:7]:
        assert line_width(line) <= 80
