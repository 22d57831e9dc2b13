"""What the options of `ps` select, and what is said about wrong ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gomd.sources.memory import MemorySource
from gomd.verbs.selection import SORT_KEYS, Selected, Selection, parse
from libgomd import calls
from libgomd.errors import MalformedRequest
from libgomd.model import Caller, Process, Role
from libgomd.testing import MemoryDaemon
from tests.unit.protocols.talk import Talk, a_process

#: Ada's and root's. Root's 3 writes most, which only its owner and admins may know.
TABLE = [
    a_process(1, uid=0, user="root", name="systemd", command="/sbin/init", rss=10, cpu_percent=None,
              start_time=None, cpu_seconds=9.0),
    a_process(2, name="bash", command="-bash", rss=30, cpu_percent=0.5, start_time=20.0),
    a_process(3, uid=0, user="root", name="backup", command="/usr/bin/Rsync /", rss=20, cpu_percent=7.0,
              read_rate=5.0, write_rate=900.0, start_time=30.0),
    a_process(4, name="nginx", command="nginx: WORKER process", rss=None, cpu_percent=99.0, read_rate=1.0,
              start_time=10.0),
]  # fmt: skip
ADMIN, ADA, READER = (
    Caller(Role.ADMIN, "root", 0, ""), Caller(Role.USER, "ada", 1000, ""), Caller(Role.READ, "", None, ""),
)  # fmt: skip


def ask(words: str, caller: Caller = ADMIN, as_json: bool = True) -> tuple[str, list[Any]]:
    """Return the status line of `ps` and its rows; as JSON, or as lines."""
    talk = Talk(MemoryDaemon(MemorySource([1], [TABLE])), caller.role, caller.user, caller.uid)
    if as_json:
        talk.say("format json")
    status, *rows = talk.say(f"ps {words}").split("\r\n")[:-2]
    return status, [json.loads(row) for row in rows] if as_json else rows


def pids(words: str, caller: Caller = ADMIN) -> list[int]:
    """Return which processes are shown, in their order."""
    return [row["pid"] for row in ask(words, caller)[1]]


def test_a_command_line_is_no_end_of_a_block() -> None:
    """Else a process that somebody calls `! 404 no` would end root's `gom ps`, and a blank one a round."""
    table = [a_process(7, command="! 404 no"), a_process(8, command="  "), a_process(9, command=".")]
    talk = Talk(MemoryDaemon(MemorySource([1], [table])))
    said = talk.say("ps --fields command").split("\r\n")
    assert said[1:] == ["COMMAND", "\\x21 404 no", "\\x20", "..", ".", ""]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("", [1, 2, 3, 4]),
        ("--top 2", [4, 3]),
        ("--top=9", [4, 3, 2, 1]),
        ("--sort cpu", [4, 3, 2, 1]),
        ("--sort rss", [2, 3, 1, 4]),
        ("--sort time", [2, 3, 4, 1]),
        ("--sort pid --top 2", [1, 2]),
        ("--sort start", [3, 2, 4, 1]),
        ("--sort io", [3, 4, 1, 2]),
        ("--user root", [1, 3]),
        ("--user 1000 --sort rss", [2, 4]),
        ("--user nobody_here", []),
        ("--match rsync", [3]),
        ("--match worker", [4]),
        ("--match BACK", [3]),
        ("--match 'sbin/init'", [1]),
        ("--jobs", []),
        ("2 4 --sort pid", [2, 4]),
        ("--top 1 2 4", [4]),
        ("4 --user=root", []),
    ],
)
def test_what_is_shown(words: str, shown: list[int]) -> None:
    """By an admin, who sees everything; the largest comes first and an unknown value last."""
    assert pids(words) == shown


def test_the_status_tells_of_how_many() -> None:
    """So that a screen can say that there are more."""
    assert ask("--top 2")[0] == "201 2 of 4 processes"
    assert ask("--user root --top 1")[0] == "201 1 of 4 processes"
    assert ask("")[0] == "201 4 processes"


@pytest.mark.parametrize("caller", [ADA, READER])
def test_what_a_caller_may_not_see_ranks_nothing(caller: Caller) -> None:
    """Root's rates are unknown to others, in the rows and in their order, in both formats."""
    first = [4, 1, 2, 3] if caller is ADA else [1, 2, 3, 4]
    assert pids("--sort io", caller) == first
    text = ask("--sort io", caller, as_json=False)[1]
    assert [int(row.split()[1]) for row in text[1:]] == first
    fields = ask("3 --fields pid,write_rate", caller, as_json=False)[1]
    assert fields[1].split() == ["3", "-"]


def test_some_fields() -> None:
    """In JSON objects with these names in this order; in text columns with a heading for each."""
    names = "pid,user,identity,read_rate,stuck"
    assert ask(f"3 --fields {names}")[1] == [
        {"pid": 3, "user": "root", "identity": "1-3-100", "read_rate": 5.0, "stuck": False}
    ]
    heading, row = ask(f"3 --fields {names}", as_json=False)[1]
    assert heading.split() == ["PID", "USER", "IDENTITY", "READ_RATE", "STUCK"]
    assert row.split() == ["3", "root", "1-3-100", "5.0", "0"]
    [whole] = ask(f"3 --fields {','.join(Process.JSON)}")[1]
    assert tuple(whole) == Process.JSON
    assert len(ask(f"--fields {','.join(Process.JSON)}", as_json=False)[1]) == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--tpo 3", "ps has no option --tpo"),
        ("--top", "--top takes a value"),
        ("--top 0", "--top is a whole number from 1"),
        ("--top x", "--top is a whole number from 1"),
        ("--top 3 --top 4", "--top is given twice"),
        ("--sort size", "--sort is one of cpu, rss, time, io, pid, start, not size"),
        ("--jobs=yes", "--jobs takes no value"),
        ("--fields pid,shoe", "there is no field shoe"),
        ("--fields pid,pid", "names a field twice"),
        ("--fields ''", "there is no field"),
        ("--match ''", "--match takes 1 to 256 characters"),
        ("--user " + "x" * 300, "--user takes 1 to 256 characters"),
        ("-n 3", "PID is a whole number"),
        ("--", "ps has no option --"),
    ],
)
def test_mistakes(words: str, said: str) -> None:
    """Each is 400 in a sentence that says what is allowed."""
    status = Talk(MemoryDaemon(MemorySource([1], [TABLE]))).say(f"ps {words}")
    assert status.startswith("400 ")
    assert said in status


@given(st.lists(st.text(min_size=1, max_size=20), max_size=6))
def test_any_words_are_a_selection_or_a_mistake(words: list[str]) -> None:
    """Nothing else is raised."""
    try:
        assert isinstance(parse(words), Selection)
    except MalformedRequest:
        pass


@pytest.mark.parametrize("key", SORT_KEYS)
def test_the_first_few_are_the_head_of_all(key: str) -> None:
    """Whatever they are ranked by."""
    everything = pids(f"--sort {key}")
    for count in range(1, 5):
        assert pids(f"--sort {key} --top {count}") == everything[:count]


def test_the_library_asks_for_it() -> None:
    """With words that the verb understands."""
    call = calls.ps(2, 4, top=3, sort="rss", user="ada", match="a b", jobs=True)
    selection = parse(call.request.arguments)
    assert selection == Selection(frozenset({2, 4}), 3, "rss", "ada", "a b", True)


def watched(words: str) -> list[Any]:
    """Return the rows of the first round of a watch."""
    talk = Talk(MemoryDaemon(MemorySource([1], [TABLE])), Role.ADMIN, "root", 0)
    talk.say("format json")
    _status, *rows = talk.say(f"watch -c 1 {words}").split("\r\n")[:-2]
    return [json.loads(row) for row in rows]


def test_a_watch_says_how_many_there_are() -> None:
    """Each row has the number of processes that match, of which it is among the first."""
    [row] = watched("ps --top 1 --sort rss")
    assert (row["matched"], row["rows"]) == (4, 1)
    [row] = watched("ps --match rsync --fields pid")
    assert (row["pid"], row["matched"]) == (3, 1)
    assert all("matched" not in row for row in watched("ps"))


def test_counters_are_asked_by_name() -> None:
    """A viewer of five hundred nodes asks for the one that it shows."""
    talk = Talk(MemoryDaemon(MemorySource([1], [TABLE])))
    _status, _heading, line, *_end = talk.say("stats processes").split("\r\n")
    assert line.split()[0] == "processes"
    assert talk.say("stats shoes").startswith("404 there is no counter shoes")


@given(
    st.lists(st.none() | st.integers(0, 9), max_size=12),
    st.sampled_from(["--top 3", "--top 3 --sort rss", "--sort rss", "--top 9 --sort rss", "--match p1", ""]),
)
def test_many_are_looked_at_in_turns(sizes: list[int | None], words: str) -> None:
    """The others are answered between two of them; what is shown is the same."""
    table = [a_process(pid, command=f"p{pid}", rss=rss) for pid, rss in enumerate(sizes, 1)]
    selection, clock = parse(words.split()), Clock()
    asked = Deferred.fromCoroutine(selection.in_turns(clock, table, lambda _: True, turn=4))
    found: list[Selected] = []
    asked.addCallback(found.append)
    turns = 0
    while not found:
        clock.advance(0)
        turns += 1
    assert found == [selection.of(table, lambda _: True)]
    assert bool(turns) == (len(table) > 4)
