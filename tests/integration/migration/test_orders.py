"""What administrators order: bring, expel, block, stay, lstay. Each returns when it is done."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.integration.cluster.asking import ask, eventually
from tests.integration.hosts import Host
from tests.integration.line import Reply
from tests.integration.migration.moving import Gom, Job

_SLEEP = ("sleep", "1000")


def words(host: Host) -> list[str]:
    """Return the switches that are set on a host."""
    return [word for word in ask(host, "status").text.split()[1].split(",") if word != "up"]


def guests(host: Host) -> list[str]:
    """Return the guests of a host."""
    header, *names = ask(host, "ls /proc/hpc/remote").block or []
    assert header == "NAME"
    return names


def test_expel_sends_all_guests_home_and_takes_no_more(three: list[Host]) -> None:
    """Guests of two homes leave, one that came and one that began there; the node's own jobs stay."""
    first, second, third = three
    came = Job(first, "-n", "1", *_SLEEP)
    came.move("2")
    began = Job(third, "-n", "2", *_SLEEP, user="nobody")
    own = Job(second, "-n", "2", *_SLEEP)
    assert len(guests(second)) == 2
    assert ask(second, "expel", as_json=True).value["moved"] == 2
    assert (guests(second), words(second)) == ([], ["block"])
    assert (came.row()["node"], began.row()["node"], own.row()["node"]) == (1, 3, 2)
    said = ask(first, f"migrate {came.pid} 2")
    assert (said.code, "h2 takes no guests" in said.text) == (405, True), said
    refused = Gom(first, "run", "-n", "2", "true")
    assert (refused.wait(), b"takes no guests" in refused.err) == (1, True), refused.err
    own.move("home")
    assert ask(second, "noblock").code == 200
    came.move("2")


def test_bring_fetches_all_of_a_nodes_own_from_wherever_they_are(three: list[Host]) -> None:
    """From two other nodes; a node that blocks takes its own back."""
    first, second, third = three
    there = [Job(first, "-n", "1", *_SLEEP), Job(first, "-n", "3", *_SLEEP, user="nobody")]
    there[0].move("2")
    guest = Job(second, "-n", "1", *_SLEEP)
    assert ask(first, "block").code == 200
    assert ask(first, "bring", as_json=True).value["moved"] == 2
    assert [job.row()["node"] for job in there] == [1, 1]
    assert (guest.row()["node"], guests(third), guests(second)) == (1, [], [])
    assert set(words(first)) == {"block", "lstay"}
    assert ask(first, f"get /proc/{there[0].pid}/where").block == ["0"]
    assert Path(f"/proc/{first.init}/root/proc/{there[1].row()['pid']}").exists()
    there[0].move("2")  # lstay is for balancing: by hand it goes


_LOCK = """
import fcntl, sys, time
file = open(sys.argv[1] + "/lock", "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(1000)
"""


def test_expel_says_who_stays(three: list[Host]) -> None:
    """A guest that holds a lock cannot be moved: 409, its name and the reason; block is set all the same."""
    first, second, _third = three
    job = Job(first, "-n", "2", "python3", "-c", _LOCK, str(first.home))
    eventually(lambda: job.out == b"locked\n")
    said = ask(second, "expel")
    assert said.code == 409
    assert f"job 1-{job.number} stays: it holds a lock on" in said.text
    assert words(second) == ["block"]


def test_by_the_tree_as_openmosix_had_it(three: list[Host]) -> None:
    """`echo 2 > /proc/PID/goto`, `echo 1 > /proc/hpc/admin/bring`."""
    first = three[0]
    job = Job(first, "-n", "1", *_SLEEP)
    assert ask(first, f"put /proc/{job.pid}/goto 2").code == 200
    assert job.row()["node"] == 2
    assert ask(first, f"put /proc/{job.pid}/migrate 3").code == 200
    assert job.row()["node"] == 3
    assert ask(first, "put /proc/hpc/admin/bring 1").code == 200
    assert (job.row()["node"], job.row()["nmigs"]) == (1, 3)
    assert ask(first, f"migrate {job.pid} best").code == 200


def test_many_move_several_at_a_time_and_one_that_cannot_stops_none(three: list[Host]) -> None:
    """One answer names the one that stays; the others have moved, and some of them at the same time."""
    first, second, _third = three
    path = second.home / "locked"
    stays = Job(first, "-n", "2", "flock", str(path), *_SLEEP)
    many = [Job(first, "-n", "2", *_SLEEP) for _ in range(9)]
    for node, order, undo, switch in (
        (second, "expel", "noblock", "block"),
        (first, "bring", "nolstay", "lstay"),
    ):
        for job in many:
            if job.row()["node"] == 1:
                job.move("2")
        said, peak = _watched(second, node, order)
        assert said.code == 409, said
        assert said.text.startswith("9 of 10 are "), said
        assert f"{stays.number} stays" in said.text, said
        assert said.text.endswith(f"; {switch} stays set"), said
        assert [job.row()["node"] for job in (stays, *many)] == [2] + [1] * 9
        assert peak > 1
        assert ask(node, undo).code == 200


def _watched(source: Host, node: Host, order: str) -> tuple[Reply, int]:
    """Return the answer to an order, and how many migrations its source had under way at most meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, node, order)
        peak = 0
        while not answer.done():
            counters = {row["name"]: row["value"] for row in ask(source, "stats", as_json=True).rows}
            peak = max(peak, counters["migrations_now"])
        return answer.result(), peak
