"""What the keys of `gom top` do, and what its picture shows, without a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gom.monitor.feed import ClusterState, ProcessQuery
from gom.monitor.rows import BLOCK, ProcessRow
from gom.monitor.spans import Style, line_width, text_of
from gom.monitor.subscription import DaemonEndpoints
from gom.monitor.top_actions import ActionResult, Actor, Asked
from gom.monitor.top_screen import TopScreen
from libgomd.wire.lines import Request
from tests.unit.gom.monitor.cluster import GB, ScriptedFeed, a_node, a_process, a_snapshot

NOWHERE = DaemonEndpoints((), "")
XZ = a_process(11, 1, cpu_percent=90.0, command="xz -9 big", lock=False)
MAKE = a_process(12, 2, cpu_percent=50.0, command="make all", user="bob", cantmove="foreign")
IDLE = a_process(13, 2, command="sleep 60")


class ScriptedActor(Actor):
    """Keeps what is asked; a test answers."""

    def __init__(self) -> None:
        super().__init__(NOWHERE, lambda: None)
        self.asked: list[Asked] = []
        self.answers: list[ActionResult] = []

    def ask(self, *asked: Asked) -> bool:
        """See `Actor.ask`."""
        self.asked += asked
        return True

    def take(self) -> list[ActionResult]:
        """See `Actor.take`."""
        answers, self.answers = self.answers, []
        return answers


class Viewer:
    """A person at a screen of ``gom top``."""

    def __init__(self, processes: Sequence[ProcessRow] = (XZ, MAKE, IDLE), **values: Any) -> None:
        self.feed = ScriptedFeed(a_snapshot(processes, **values))
        self.actor = ScriptedActor()
        self.screen = TopScreen(
            NOWHERE,
            ProcessQuery(),
            1.0,
            lambda moment: f"at {moment:g}",
            lambda _: self.feed,
            lambda _: self.actor,
        )
        self.screen.start(lambda: None)
        self.size = (100, 24)
        self.look()

    def look(self) -> list[str]:
        """Return the picture as text."""
        return [text_of(line).rstrip() for line in self.screen.draw(*self.size)]

    def press(self, *keys: str) -> str:
        """Press keys, one character or a name each; return the picture."""
        for key in keys:
            self.screen.press(key, key if len(key) == 1 else "")
            self.look()
        return "\n".join(self.look())

    def know(self, **values: Any) -> None:
        """Let the feed know something else."""
        self.feed.now = self.feed.now._replace(**values)

    def answer(self, done: bool, text: str) -> str:
        """Answer the last thing that was asked; return the picture."""
        asked = self.actor.asked[-1]
        self.actor.answers.append(ActionResult(asked.key, done, text, asked.about))
        return "\n".join(self.look())


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


def test_a_signal_names_what_will_happen() -> None:
    """Nothing is sent before y; what is sent names an identity."""
    viewer = Viewer()
    picture = viewer.press("down", "k")
    assert "send which signal?" in picture
    picture = viewer.press("down", "enter")
    assert "Send SIGKILL to process 12 `make all` of bob on node 2?" in picture
    viewer.press("enter", "x")
    assert viewer.actor.asked == []
    viewer.press("y")
    assert viewer.actor.asked[0].request == Request("signal", ("2-12-9", "KILL"))
    assert "sent SIGKILL to process 12" in viewer.answer(True, "sent SIGKILL to process 12")
    viewer.press("k", "enter", "y")
    assert "refused for process 12 `make all` of bob on node 2: no" in viewer.answer(False, "no")


def test_escape_does_nothing() -> None:
    """At any step."""
    for keys in (["k"], ["k", "enter"], ["r"], ["r", "5", "enter"], ["l"], ["m"], ["m", "enter"]):
        viewer = Viewer()
        picture = viewer.press(*keys, "escape", "escape")
        assert [each for each in viewer.actor.asked if each.key[0] == "act"] == []
        assert "┌" not in picture


def test_the_process_of_a_dialog_stays_where_rows_move() -> None:
    """Another one comes first meanwhile; the row does not move, and it is the one that is acted on."""
    viewer = Viewer()
    viewer.press("k")
    viewer.know(table=a_snapshot((XZ._replace(cpu_percent=1.0), MAKE, IDLE)).table)
    assert viewer.look()[5].startswith(">   1")
    viewer.press("enter", "y")
    assert viewer.actor.asked[0].request.arguments[0] == XZ.identity
    assert viewer.look()[5].startswith("    2")


def test_marked_rows_are_acted_on_together() -> None:
    """The confirmation names them, and counts those for which it has no room."""
    many = [a_process(pid, cpu_percent=float(pid)) for pid in range(1, 10)]
    viewer = Viewer(many)
    picture = viewer.press(*["space"] * 8, "r", "1", "0", "enter")
    assert "Set niceness 10 of these 8 processes?" in picture
    assert "9 `prog9` of ada on node 1" in picture or "1 `prog1`" in picture or "`prog2`" in picture
    assert "and 3 more" in picture
    viewer.press("y")
    asked = [each.request for each in viewer.actor.asked]
    assert sorted(asked) == sorted(Request("renice", (f"1-{pid}-9", "10")) for pid in range(2, 10))
    assert "*" not in viewer.press()


def test_a_niceness_is_checked_before_it_is_asked() -> None:
    viewer = Viewer()
    assert "confirm" not in viewer.press("r", "9", "9", "enter")
    assert "confirm" in viewer.press("backspace", "enter")


def test_lock_and_unlock() -> None:
    viewer = Viewer()
    assert "Lock process 11 `xz -9 big` of ada on node 1?" in viewer.press("l")
    viewer.press("y")
    viewer = Viewer([XZ._replace(lock=True)])
    assert "Unlock process 11" in viewer.press("l")
    viewer.press("y")
    assert viewer.actor.asked[0].request == Request("unlock", (XZ.identity,))


NODES = (
    a_node(1), a_node(2, load=400), a_node(3, load=10), a_node(4, load=0, status=3 | BLOCK),
    a_node(5, up=False), a_node(6, mem=1),
)  # fmt: skip


def test_migration_shows_costs_and_reasons_first() -> None:
    """The cheapest node comes first; the dry run's reasons are there before anything is confirmed."""
    viewer = Viewer([XZ._replace(rss=GB)], nodes=NODES)
    picture = viewer.press("m").partition("migrate to which node?")[2]
    at = [picture.index(f"{number} n{number}") for number in (3, 2, 4, 6, 5)]
    assert at == sorted(at)
    for hint in ("takes no guests", "too little memory", "down"):
        assert hint in picture
    assert viewer.actor.asked[0].request == Request("migrate", (XZ.identity, "best", "dry-run"))
    assert "Process 11 can move to node 3" in viewer.answer(True, "process 11 can move to node 3")
    viewer.press("down")
    assert viewer.actor.asked[1].request.arguments[1:] == ("3", "dry-run")
    assert "It has a socket" in viewer.answer(False, "it has a socket")
    picture = viewer.press("enter")
    assert "Migrate process 11 `xz -9 big` of ada on node 1 to node 3 n3?" in picture
    assert "The dry run said: it has a socket" in " ".join(picture.replace("│", " ").split())
    viewer.press("y")
    assert viewer.actor.asked[-1].request == Request("migrate", (XZ.identity, "3"))


def test_home_is_offered_to_a_guest_only() -> None:
    assert "where it was started" not in Viewer().press("m")
    guest = Viewer([a_process(8, 2, home=1)])
    assert "where it was started" in guest.press("m")
    assert "Migrate process 8 `prog8` of ada on node 2 (from node 1) to its home?" in guest.press(
        "down", "enter"
    )


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


@pytest.mark.parametrize("size", [(80, 24), (40, 12), (24, 9)])
def test_the_reason_of_a_refusal_can_be_read(size: tuple[int, int]) -> None:
    """It is more than a line long where there is no room for it in one."""
    viewer = Viewer()
    viewer.size = size
    viewer.press("k", "enter", "y")
    said = viewer.answer(False, "process 11 is not yours: you can signal your own ones")
    lines = [each.rstrip() for each in said.split("\n")]
    assert len(lines) == size[1]
    told = " ".join(" ".join(lines[-4:]).split())
    assert "refused for process 11 `xz -9 big` of ada on node 1: " in told or size[0] < 40
    assert "process 11 is not yours: you can signal your own ones" in told or told.endswith("…")
    viewer.press("escape")
    assert "refused" not in "\n".join(viewer.look())


def test_a_confirmation_of_wide_characters_is_whole() -> None:
    """It says on which node, whatever the process calls itself."""
    viewer = Viewer([a_process(11, 1, cpu_percent=9.0, command="漢字" * 30)])
    viewer.size = (80, 24)
    told = " ".join(viewer.press("k", "enter").replace("│", " ").split())
    assert "of ada on node 1?" in told


def test_a_daemon_that_is_gone_is_said() -> None:
    viewer = Viewer()
    viewer.know(trouble="no daemon at unix:/x: is gomd running?", at=100.0)
    assert viewer.look()[0].startswith("trying again: no daemon at unix:/x: is gomd running?")
    assert "xz -9 big" in "\n".join(viewer.look())


def test_a_reader_may_only_look() -> None:
    for key in "krml":
        viewer = Viewer(role="read")
        assert "you may only look" in viewer.press(key)


def test_escape_sequences_in_names_are_text() -> None:
    """Whoever names a process cannot steer the terminal of who looks."""
    evil = a_process(66, command="\x1b[2J\x1b]0;x\x07", user="\x1bc", state="\x1b", cantmove="\x1b")
    viewer = Viewer([evil], trouble="\x1b[1m", events=())
    for keys in ([], ["enter"], ["escape", "k", "enter"], ["escape", "u"], ["escape", "m"]):
        picture = viewer.press(*keys)
        assert "\x1b" not in picture
        assert "\x07" not in picture


KEYS = (*"/abckrmltunJU qhisPMTINSy5-*", "up", "down", "pageup", "pagedown", "home", "end", "enter", "escape",
        "space", "backspace", "f1", "ctrl+l")  # fmt: skip


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


def test_lines_are_as_wide_as_they_say() -> None:
    """Wide and combining characters do not move what stands behind them."""
    wide = a_process(5, user="計算機計算機", command="e\u0301計" * 80)
    viewer = Viewer([wide, XZ])
    for line in viewer.screen.draw(80, 24)[5:7]:
        assert line_width(line) <= 80
