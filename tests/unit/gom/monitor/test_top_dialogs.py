"""How a person acts on processes in `gom top`: nothing is sent without a confirmation that names them."""

from __future__ import annotations

import pytest

from gom.monitor.rows import BLOCK
from libgomd.wire.lines import Request
from tests.unit.gom.monitor.cluster import GB, a_node, a_process, a_snapshot
from tests.unit.gom.monitor.viewer import IDLE, MAKE, XZ, Viewer


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


def test_a_reader_may_only_look() -> None:
    for key in "krml":
        viewer = Viewer(role="read")
        assert "you may only look" in viewer.press(key)
