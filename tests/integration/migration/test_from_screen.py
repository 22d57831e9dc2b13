"""A job that a person moves with the keys of `gom top`, while its output is read."""

from __future__ import annotations

from tests.integration.hosts import Host
from tests.integration.jobs import GOM
from tests.integration.migration.moving import Job, row_of
from tests.integration.screen import Screen

#: Writes numbers without an end to be seen, a hundred a second, until its input ends.
_COUNTS = (
    "import select, sys\n"
    "number = 0\n"
    "while not select.select([sys.stdin], [], [], 0.01)[0]:\n"
    "    print(number, 'moved-by-hand' * 20, flush=True)\n"
    "    number += 1\n"
)


#: What the confirmation says, which may be broken into lines.
_CONFIRMED = r"Migrate[\s│]+process[^?]*?\bto[\s│]+(?:node[\s│]+([0-9]+)|the|its)[^?]*\?"


def choose(screen: Screen, node: int) -> None:
    """
    Open the list of targets and go down until the confirmation names this node.

    The cheapest node is the first one, so two may change places while one after the other is looked at.
    """
    for downs in (1, 2, 3, 4) * 5:
        mark = screen.press("m")
        screen.wait_for("migrate to which node", mark)
        mark = screen.press("\x1b[B" * downs + "\r")
        if screen.wait_for(_CONFIRMED, mark)[1] == str(node):
            return
        screen.press("n")
    raise AssertionError(f"node {node} is not in the list")


def test_no_byte_is_lost_or_said_twice(three: list[Host]) -> None:
    """The filter finds it, m lists the nodes, y moves it; twice. Its output is as if it had stayed."""
    home = three[0]
    job = Job(home, "-n", "1", "/usr/bin/python3", "-c", _COUNTS, "counts-from-screen")
    with Screen([*GOM, "-c", f"unix:{home.home}/gomd.sock", "top"], columns=160, rows=40) as screen:
        screen.wait_for("nodes 3 of 3 up")
        screen.press("/counts-from-screen\r")
        screen.wait_for(rf"{job.pid}[^\n]*python3")
        for there in (2, 3):
            choose(screen, there)
            mark = screen.press("y")
            screen.wait_for("moved to node|migrated|runs on node|refused", mark)
            assert row_of(home, job.number)["node"] == there, screen.text(mark)
        screen.press("q")
        assert screen.wait() == 0
    job.close()
    assert job.wait() == 0
    lines = job.out.splitlines()
    assert lines == [b"%d %s" % (at, b"moved-by-hand" * 20) for at in range(len(lines))]
    assert len(lines) > 20
