"""Every verb, as a person and as a program reads its answer, and who may say it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gomd.sources.memory import MemorySource
from gomd.verbs.all import all_verbs
from libgomd.model import Caller, Counter, Event, EventKind, Node, Output, Process, Role, VerbHelp
from libgomd.testing import START_TIME, MemoryDaemon
from tests.unit.protocols.talk import Talk, a_process

ROOTS = a_process(1, uid=0, user="root", command="/sbin/init", read_rate=5.0, write_rate=6.0)
ADAS = a_process(7, uid=1000, user="ada", command="./simulate \x1b[2J", cpu_percent=99.9, cpu_seconds=3725.0)


@pytest.fixture
def daemon() -> MemoryDaemon:
    """A node with two processes, a file and a command."""
    source = MemorySource(
        [57], [[ROOTS, ADAS]], {"/proc/version": b"Linux\tversion\n\xff\x07\n"}, name="alpha"
    )
    commands = {"greet": [Output(line="hello"), Output(line="."), Output(exit=3)]}
    return MemoryDaemon(source, commands=commands)


#: Request, its answer in text, and in json.
SHORT = [
    ("load", "57", 57),
    ("LOAD 1", "57", 57),
    ("load alpha", "57", 57),
    ("@1 load", "57", 57),
    ("@alpha load", "57", 57),
    ("speed", "15000", 15000),
    ("util", "100", 100),
    ("cpus", "1", 1),
    ("mem", "536870912 268435456 1073741824", {"mem": 536870912, "rmem": 268435456, "tmem": 1073741824}),
    ("status", "3 up", {"status": 3, "words": "up"}),
    ("where 7", "1", 1),
    ("whoami", "admin root via tcp 192.0.2.7:40000",
     {"role": "admin", "user": "root", "uid": 0, "via": "tcp 192.0.2.7:40000"}),
    ("stay", "no process leaves this node by balancing", {"status": 7, "words": "up,stay"}),
    ("setspeed 20000", "speed is 20000", 20000),
    ("setyard 10000", "the yardstick is 10000", 10000),
    ("put /proc/hpc/admin/quiet 1", "/proc/hpc/admin/quiet is 1",
     {"path": "/proc/hpc/admin/quiet", "value": "1"}),
    ("renice 7 5", "process 7 has niceness 5", {"pid": 7, "nice": 5}),
    ("signal 7 stop", "sent SIGSTOP to process 7", {"pid": 7, "signal": 19}),
    ("signal 7 SIGCONT", "sent SIGCONT to process 7", {"pid": 7, "signal": 18}),
    ("signal 7 15", "sent SIGTERM to process 7", {"pid": 7, "signal": 15}),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "text", "value"), SHORT, ids=[row[0] for row in SHORT])
def test_short_answers(daemon: MemoryDaemon, request_: str, text: str, value: object) -> None:
    """`200 TEXT`; in json TEXT is a value."""
    assert Talk(daemon).say(request_) == f"200 {text}\r\n"


@pytest.mark.parametrize(("request_", "text", "value"), SHORT, ids=[row[0] for row in SHORT])
def test_short_answers_in_json(daemon: MemoryDaemon, request_: str, text: str, value: object) -> None:
    """The same facts with names."""
    talk = Talk(daemon)
    talk.say("format json")
    code, _, found = talk.say(request_).partition(" ")
    assert code == "200"
    assert json.loads(found) == value


#: Request, and the names of its rows in json.
BLOCKS = [
    ("nodes", Node.JSON),
    ("node", Node.JSON),
    ("ps", Process.JSON),
    ("ps 7", Process.JSON),
    ("events", Event.JSON),
    ("stats", Counter.JSON),
    ("help", VerbHelp.JSON),
    ("help ps", VerbHelp.JSON),
    ("ls /proc", ("name",)),
    ("do greet", Output.JSON),
]


@pytest.mark.parametrize(("request_", "names"), BLOCKS, ids=[row[0] for row in BLOCKS])
def test_rows_in_json(daemon: MemoryDaemon, request_: str, names: tuple[str, ...]) -> None:
    """Each row has every name of the contract, absent values as null."""
    daemon.publish(Event(START_TIME, EventKind.UP, 1, "alpha", "back", 1))
    talk = Talk(daemon)
    talk.say("format json")
    status, *rows, end, _ = talk.say(request_).split("\r\n")
    assert status.startswith("201 ")
    assert end == "."
    assert rows
    for row in rows:
        assert tuple(json.loads(row)) == names


def test_tables_in_text(daemon: MemoryDaemon) -> None:
    """Headings over columns; what a process calls itself drives nobody's terminal."""
    _status, *lines, _end, _ = Talk(daemon).say("ps").split("\r\n")
    assert lines == [
        "NODE PID PPID USER STAT NI THR %CPU  TIME RSS VSZ NMIGS LOCK CANTMOVE COMMAND",
        "   1   1    1 root S     0   1  0.0  1:01   2   4     0    0 -        /sbin/init",
        r"   1   7    1 ada  S     0   1 99.9 62:05   2   4     0    0 -        ./simulate \x1b[2J",
    ]
    assert Talk(daemon).say("nodes").split("\r\n")[2].split()[:5] == ["1", "alpha", "127.0.0.1", "up", "57"]


def test_a_file_of_the_tree(daemon: MemoryDaemon) -> None:
    """Its lines; in json one text. What is not printable is written with its number."""
    talk = Talk(daemon)
    assert (
        talk.say("get /proc/version")
        == "201 2 lines of /proc/version\r\nLinux\tversion\r\n\\xff\\x07\r\n.\r\n"
    )
    talk.say("format json")
    value = json.loads(talk.say("get /proc/version").partition(" ")[2])
    assert value == {"path": "/proc/version", "text": "Linux\tversion\n\\xff\\x07"}


def test_a_commands_output(daemon: MemoryDaemon) -> None:
    """A line that is a dot is doubled; how it ended comes last."""
    assert Talk(daemon).say("do greet") == "201 greet runs\r\nhello\r\n..\r\nexit 3\r\n.\r\n"


# -- roles


@pytest.mark.parametrize("verb", list(all_verbs()), ids=lambda verb: str(verb.name))
@pytest.mark.parametrize("role", list(Role))
def test_no_verb_is_for_a_smaller_role(verb: object, role: Role) -> None:
    """401 for nobody, 403 for others, and nothing is done."""
    name, needed = verb.name, verb.role  # type: ignore[attr-defined]
    if role >= needed:
        return
    daemon = MemoryDaemon()
    talk = Talk(daemon, role, "", None)
    for prefix in ("", "@1 ", "@memory "):
        heard = talk.say(f"{prefix}{name} 1 1", f"watch {name}", f"{name}")
        codes = [line[:3] for line in heard.splitlines()]
        assert codes[0] == ("401" if role is Role.NONE else "403"), heard
        assert set(codes) <= {"400", "401", "403"}, heard
    assert daemon.stopped is None
    assert Talk(daemon).say("status") == "200 3 up\r\n"


def test_a_user_acts_on_their_own_processes_only(daemon: MemoryDaemon) -> None:
    """403 for others', and nothing happens to them."""
    talk = Talk(daemon, Role.USER, "ada", 1000)
    assert talk.say("signal 1 KILL").startswith("403 ")
    assert talk.say("renice 1 5").startswith("403 ")
    assert talk.say("renice 7 5").startswith("200 ")
    assert talk.say("renice 7 0").startswith("403 ")
    assert list(daemon.control.acts) == [("renice", 7, 5)]


@pytest.mark.parametrize(
    ("caller", "seen"),
    [
        (Caller(Role.ADMIN, "root", 0, ""), (5.0, 6.0)),
        (Caller(Role.USER, "root", 0, ""), (5.0, 6.0)),
        (Caller(Role.USER, "ada", 1000, ""), (None, None)),
        (Caller(Role.READ, "", None, ""), (None, None)),
    ],
)
def test_rates_are_their_owners_business(caller: Caller, seen: tuple[float | None, float | None]) -> None:
    """As /proc/PID/io is; in a table of many and of one alike."""
    crowd = [a_process(pid, uid=0, read_rate=5.0, write_rate=6.0) for pid in range(1, 90)]
    daemon = MemoryDaemon(MemorySource([1], [crowd]))
    talk = Talk(daemon, caller.role, caller.user, caller.uid)
    talk.say("format json")
    for request, count in (("ps", 89), ("ps 5", 1)):
        rows = [json.loads(row) for row in talk.say(request).split("\r\n")[1:-2]]
        assert [(row["read_rate"], row["write_rate"]) for row in rows] == [seen] * count


def test_an_old_table_says_how_old_it_is() -> None:
    """When reading the processes fails the last table is shown, never as a fresh one."""
    crowd = [a_process(pid, uid=0) for pid in range(1, 40)]
    crowd[6] = replace(crowd[6], stuck=True, age=3.0)
    daemon = MemoryDaemon(MemorySource([1], [crowd, None]))
    talk = Talk(daemon, Role.USER, "ada", 1000)
    assert talk.say("ps").split("\r\n")[0] == "201 39 processes"
    daemon.clock.advance(60.0)
    first, _heading, *rows = talk.say("ps").split("\r\n")[:-2]
    assert first.startswith("201 39 processes, as they were 60 s ago")
    assert [row.split()[4] for row in rows[5:8]] == ["S", "S!", "S"]
    talk.say("format json")
    found = [json.loads(row) for row in talk.say("ps").split("\r\n")[1:-2]]
    assert [(row["stuck"], row["age"]) for row in found[5:8]] == [(False, 60.0), (True, 63.0), (False, 60.0)]


# -- mistakes


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ("load 1 2", 400), ("load 2", 404), ("load beta", 404), ("@beta load", 404), ("@2 load", 404),
        ("ps x", 400), ("ps 0", 400), ("where", 400), ("where 99", 404), ("ps 99", 404),
        ("ls", 400), ("ls /proc/99", 404), ("ls proc", 400), ("ls /etc", 403), ("get /proc", 405),
        ("get /proc/hpc/admin/bring", 405), ("put /proc/hpc/admin/stay 2", 400),
        ("put /proc/hpc/admin 1", 405),
        ("setspeed 0", 400), ("setyard 65536", 400), ("signal 7 NOSUCH", 400), ("signal 7 0", 400),
        ("signal 7 65", 400), ("renice 7 20", 400), ("renice 7 1.5", 400), ("do nothing", 404), ("do", 400),
        ("help nothing", 400), ("format yaml", 400), ("checkpoint 'two words'", 400), ("checkpoint ''", 400),
        ("watch -n 0.01 load", 400), ("watch -c 0 load", 400), ("watch quit", 400), ("watch do greet", 400),
        ("@1 quit", 405), ("@1 auth x", 405), ("@1 format json", 405), ("@all watch watch load", 400),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_one_line(daemon: MemoryDaemon, request_: str, code: int) -> None:
    """With what to do; the next request is answered."""
    first, second, rest = Talk(daemon).say(request_, "load").split("\r\n")
    assert first.startswith(f"{code} "), first
    assert len(first) > 15
    assert (second, rest) == ("200 57", "")


def test_a_misspelt_verb_is_told_the_nearest() -> None:
    """Names too."""
    talk = Talk(MemoryDaemon())
    assert "did you mean `load`?" in talk.say("laod")
    assert "did you mean memory?" in talk.say("load memroy")


def test_shutdown_answers_first(daemon: MemoryDaemon) -> None:
    """The log learns who asked."""
    assert Talk(daemon).say("shutdown") == "200 gomd stops\r\n"
    assert daemon.stopped == "asked by root via tcp 192.0.2.7:40000"
