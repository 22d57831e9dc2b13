"""The identity of a job's process, which is the same one wherever the job runs, in requests and in `ps`."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.integration.cluster.asking import ask, eventually
from tests.integration.hosts import Host
from tests.integration.migration.moving import Job, process


def _row(host: Host, word: str) -> dict[str, Any]:
    """Return the row of a process; the table that `ps` shows may be a second old."""
    [row] = eventually(lambda: [row for row in ask(host, "ps", as_json=True).rows if row["identity"] == word])
    return dict(row)


def _has_nice(host: Host, word: str, nice: int) -> bool:
    return bool(_row(host, word)["nice"] == nice)


def test_one_identity_from_its_start_to_its_end(three: list[Host]) -> None:
    """At home, on each node of its tour and at home again; each request by it is carried out there."""
    first, second, third = three
    job = Job(first, "-n", "1", "sleep", "1000", user="nobody")
    began = process(first, job.pid)
    word = began["identity"]
    assert word == f"1-{job.pid}-{began['started']}"
    assert began["started"] > 0
    for target, there in (("2", second), ("3", third), ("home", first)):
        said = ask(first, f"migrate {word} {target}")
        assert said.code == 200, said
        eventually(lambda: job.row()["pid_there"])
        for host in {id(each): each for each in (first, there)}.values():
            row = _row(host, word)
            assert (row["node"], row["home"], row["command"]) == (there.number, 1, "sleep 1000")
            assert row["started"] == began["started"]
        for nice, request in enumerate(
            (f"renice {word}", f"@{there.number} renice {word}"), there.number * 4
        ):
            assert ask(first, f"{request} {nice}").code == 200, request
            assert eventually(partial(_has_nice, first, word, nice))
        assert ask(second, f"lock {word}").code == 200  # every node finds it
        assert eventually(lambda: _row(first, word)["lock"])
        assert ask(third, f"unlock {word}").code == 200
        pid = job.row()["pid_there"]
        wrong = f"{word.rpartition('-')[0]}-{began['started'] + 1}"
        assert ask(first, f"signal {wrong} KILL").code in (404, 409)
        assert ask(there, f"signal {there.number}-{pid}-1 KILL").code in (404, 409)
    assert ask(second, f"signal {word} KILL").code == 200
    assert job.wait() == 137
    assert eventually(lambda: ask(first, f"signal {word} KILL").code == 404)
    assert ask(third, f"@2 signal {word} KILL").code == 404


def test_one_that_began_elsewhere(three: list[Host]) -> None:
    """It never was a process at home, and has one identity all the same, also for its children."""
    first, second, _third = three
    job = Job(first, "-n", "2", "sh", "-c", "sleep 1000; exit 3")
    word = f"1-{job.pid}-0"
    for host in (first, second):
        assert _row(host, word)["node"] == 2
    [child] = eventually(
        lambda: [row for row in ask(second, "ps", as_json=True).rows if row["command"] == "sleep 1000"]
    )
    assert child["home"] == 1
    assert ask(first, f"signal {child['identity']} TERM").code == 200
    assert job.wait() == 3
    # 409: its home has a process of that number, by chance.
    assert ask(first, f"signal {child['identity']} TERM").code in (404, 409)
