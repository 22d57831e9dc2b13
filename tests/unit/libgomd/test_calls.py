"""Every verb as a typed call: the line it sends and the value its answer becomes."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libgomd import blocking, calls, client, model
from libgomd.errors import GomdError, MalformedReply, MalformedRequest, NotFound, PeerUnreachable
from libgomd.replies import Call, Reply, Rounds, Size
from libgomd.wire.lines import encode_request
from libgomd.wire.values import encode

NODE = model.Node(3, "beta", "10.0.0.3", model.Status(7), load=23, speed=31578, cpus=2, age=0.5)
PROCESS = model.Process(
    node=1, home=1, pid=42, ppid=1, uid=0, user="root", state="S", nice=0, threads=1, cpu_percent=None,
    cpu_seconds=0.5, rss=4096, vsize=8192, start_time=1.0, where=0, nmigs=0, lock=False, cantmove="",
    command="[x]", started=7,
)  # fmt: skip
JOB = model.Job(7, 1, 2, 5000007, "anna", model.JobState.RUNNING, None, "sleep 5", 1000, 1.5, pid_there=42)
EVENT = model.Event(1.5, model.EventKind.DOWN, 3, "beta", "nobody heard of it", 1)
CALLER = model.Caller(model.Role.ADMIN, "root", 0, "unix")
COUNTER = model.Counter("samples", 7, "samples taken")

VALUES: list[tuple[Call[Any], str, Any, Any]] = [
    (calls.version(), "version", {"version": "1", "protocol": 1}, calls.Version("1", 1)),
    (calls.whoami(), "whoami", encode(CALLER), CALLER),
    (calls.load(), "load", 23, 23),
    (calls.load(3), "load 3", 23, 23),
    (calls.load("beta", node="gamma"), "@gamma load beta", 0, 0),
    (calls.speed(), "speed", 15000, 15000),
    (calls.cpus(), "cpus", 2, 2),
    (calls.util(), "util", 200, 200),
    (calls.mem(), "mem", {"mem": 3, "rmem": 2, "tmem": 4}, model.Memory(3, 2, 4)),
    (calls.status(2), "status 2", {"status": 7, "words": "up,stay"}, model.Status(7)),
    (calls.get("/proc/loadavg"), "get /proc/loadavg", {"path": "/proc/loadavg", "text": "0 0"}, "0 0"),
    (calls.where(42), "where 42", 1, 1),
    (calls.where(42, 3), "where 42 3", 5, 5),
    (calls.put("/proc/hpc/admin/stay", 1), "put /proc/hpc/admin/stay 1", None, None),
    (calls.signal(42, "TERM"), "signal 42 TERM", {}, None),
    (calls.kill(7), "kill 7 TERM", {}, None),
    (calls.renice(42, -5), "renice 42 -5", None, None),
    (calls.migrate(42, "best"), "migrate 42 best", {"pid": 42, "node": 3, "seconds": 0.5, "moved": True},
     calls.Migration(42, 3, 0.5, True)),
    (calls.migrate(42, 3, dry_run=True, node=2), "@2 migrate 42 3 dry-run",
     {"pid": 42, "node": 3, "seconds": 0, "moved": False}, calls.Migration(42, 3, 0.0, False)),
    (calls.lock(42), "lock 42", {}, None),
    (calls.unlock(42, node="beta"), "@beta unlock 42", {}, None),
    (calls.setspeed(20000), "setspeed 20000", 20000, None),
    (calls.setyard(15000), "setyard 15000", None, None),
    (calls.checkpoint("before lunch"), "checkpoint 'before lunch'", None, None),
    (calls.auth("abc"), "auth abc", encode(CALLER), None),
    *(
        (getattr(calls, verb)(node=2), f"@2 {verb}", None, None)
        for verb in (
            "stay", "nostay", "lstay", "nolstay", "block", "noblock", "quiet", "noquiet", "bring", "expel",
            "shutdown",
        )
    ),
    (calls.ask("run", "-n", 3, "true"), "run -n 3 true", {"job": 1}, {"job": 1}),
]  # fmt: skip
HELP = {"verb": "load", "usage": "load [NODE]", "role": "read", "summary": "the load", "fields": []}
ROWS: list[tuple[Call[Any], str, list[Any], Any]] = [
    (calls.nodes(), "nodes", [encode(NODE)], [NODE]),
    (calls.node("beta"), "node beta", [encode(NODE)], NODE),
    (calls.ls("/proc"), "ls /proc", [{"name": "1"}, {"name": "hpc"}], ["1", "hpc"]),
    (calls.ps(), "ps", [], []),
    (calls.ps(42, 43), "ps 42 43", [encode(PROCESS)], [PROCESS]),
    (calls.jobs(), "jobs", [encode(JOB)], [JOB]),
    (calls.events(), "events", [encode(EVENT)], [EVENT]),
    (calls.stats(), "stats", [encode(COUNTER)], [COUNTER]),
    (calls.stats("jobs_running"), "stats jobs_running", [encode(COUNTER)], [COUNTER]),
    (calls.ask("jobs", node="all", block=True), "@all jobs", [1, 2], [1, 2]),
]


@pytest.mark.parametrize(("call", "line", "value", "answer"), VALUES)
def test_a_short_answer(call: Call[Any], line: str, value: Any, answer: Any) -> None:
    """A verb that answers with 200."""
    assert encode_request(call.request) == line.encode() + b"\r\n"
    assert call.result(Reply(200, json.dumps(value))) == answer


@pytest.mark.parametrize(("call", "line", "rows", "answer"), ROWS)
def test_an_answer_with_a_block(call: Call[Any], line: str, rows: list[Any], answer: Any) -> None:
    """A verb that answers with 201 and rows."""
    assert encode_request(call.request) == line.encode() + b"\r\n"
    assert call.result(Reply(201, "a block", tuple(map(json.dumps, rows)))) == answer


def test_help_is_a_list_of_verbs() -> None:
    """Names of a later daemon that this library does not know are left out, not an error."""
    [verb] = calls.help().result(Reply(201, "", (json.dumps({**HELP, "later": 1}),)))
    assert (verb.verb, verb.usage, verb.role, verb.summary) == ("load", "load [NODE]", "read", "the load")
    assert encode_request(calls.help("load").request) == b"help load\r\n"


@pytest.mark.parametrize("call", [entry[0] for entry in [*VALUES, *ROWS]])
def test_a_refusal_is_its_error(call: Call[Any]) -> None:
    """The daemon's number becomes the class, its sentence the text."""
    with pytest.raises(NotFound, match="no process 4711"):
        call.result(Reply(404, "no process 4711"))
    with pytest.raises(PeerUnreachable):
        call.result(Reply(502, "node 3 is down"))


@pytest.mark.parametrize(
    ("call", "reply"),
    [
        (calls.load(), Reply(201, "", ("1",))),
        (calls.load(), Reply(200, "true")),
        (calls.load(), Reply(200, '"1"')),
        (calls.load(), Reply(200, "load=57")),
        (calls.load(), Reply(221, "bye")),
        (calls.nodes(), Reply(200, "[]")),
        (calls.nodes(), Reply(201, "", ('{"id": 1}',))),
        (calls.nodes(), Reply(201, "", ("[]",))),
        (calls.node(), Reply(201, "")),
        (calls.mem(), Reply(200, "[1, 2, 3]")),
        (calls.status(), Reply(200, "7")),
        (calls.get("/proc/stat"), Reply(200, '{"text": null}')),
        (calls.ls("/proc"), Reply(201, "", ('"hpc"',))),
        (calls.whoami(), Reply(200, '{"role": "god", "user": "", "uid": 0, "via": ""}')),
    ],
)
def test_what_is_no_answer_is_said_so(call: Call[Any], reply: Reply) -> None:
    """Another program on the port gives one error, never a wrong value."""
    with pytest.raises(MalformedReply):
        call.result(reply)


@given(st.sampled_from([200, 201, 220, 221, 404, 599]), st.text(), st.lists(st.text(), max_size=3))
def test_any_reply_gives_a_value_or_one_error(code: int, text: str, rows: list[str]) -> None:
    """No reply makes a typed call fail with anything but an error of libgomd."""
    for call, *_ in [*VALUES, *ROWS]:
        try:
            call.result(Reply(code, text, tuple(rows)))
        except GomdError:
            pass


def test_only_what_may_rightly_take_long_is_waited_for_without_a_limit() -> None:
    """`bring` waits until everybody is home; a `load` that takes long is an error."""
    assert calls.bring().patient
    assert calls.expel().patient
    assert calls.migrate(42, "home").patient
    assert not calls.load().patient


def test_a_typed_call_is_for_one_node() -> None:
    """@all has another shape of answer."""
    for key in ("all", "ALL"):
        with pytest.raises(MalformedRequest, match="one node"):
            calls.load(node=key)


def test_a_line_end_in_an_argument_does_not_begin_a_second_request() -> None:
    """A path that came from elsewhere cannot shut the daemon down."""
    with pytest.raises(MalformedRequest, match="one line of plain text"):
        encode_request(calls.get("/proc/stat\r\nshutdown").request)


def test_both_clients_have_every_verb() -> None:
    """A verb that is added here is a method there, with the same arguments and description."""
    for name, function in inspect.getmembers(calls, inspect.isfunction):
        if name.startswith("_") or function.__module__ != calls.__name__:
            continue
        for kind in (client.Client, blocking.Client):
            method = getattr(kind, name)
            if name not in ("watch", "watch_nodes", "watch_events", "do", "auth"):
                assert inspect.unwrap(method) is function


def feed(rounds: Rounds[Any], *rows: Any) -> list[Any]:
    return [answer for row in rows for answer in rounds.feed(json.dumps(row))]


def test_a_watch_gives_what_the_call_itself_would() -> None:
    """Rounds of many rows, of none, and of one value."""
    assert (
        encode_request(calls.watch(calls.ps(), seconds=0.5, rounds=2).request) == b"watch -n 0.5 -c 2 ps\r\n"
    )
    assert encode_request(calls.watch(calls.load(3, node="b")).request) == b"@b watch load 3\r\n"
    first = {**encode(NODE), "round": 1, "rows": 2}
    assert feed(Rounds(calls.nodes()), first, first, {"round": 2, "rows": 0}, {**first, "rows": 1}) == [
        [NODE, NODE],
        [],
        [NODE],
    ]
    assert feed(Rounds(calls.load()), {"round": 1, "rows": 1, "value": 5}, {"rows": 1, "value": 6}) == [5, 6]
    assert feed(Rounds(calls.get("/proc/stat")), {"path": "/proc/stat", "text": "x", "rows": 1}) == ["x"]


@pytest.mark.parametrize("row", ["[]", "1", "{}", '{"rows": "1"}', '{"rows": -1}', "no json"])
def test_a_row_that_is_not_of_a_watch_is_said_so(row: str) -> None:
    """A daemon of another kind gives one error."""
    with pytest.raises(MalformedReply):
        Rounds(calls.nodes()).feed(row)


def test_a_block_that_could_not_be_completed_is_its_error() -> None:
    """What went wrong in the middle is raised where it happened, in an answer and in a watch."""
    failure = '{"code": 404, "error": "no process 42: it has ended"}'
    with pytest.raises(NotFound, match="it has ended"):
        calls.ps().result(Reply(201, "2 processes", (json.dumps(encode(PROCESS)), failure)))
    for stream in (calls.watch(calls.where(42)), calls.watch_events(), calls.do("x")):
        with pytest.raises(NotFound, match="it has ended"):
            stream.start().feed(failure)


def test_events_are_not_watched_in_rounds() -> None:
    """The right way is named."""
    with pytest.raises(MalformedRequest, match="watch_events"):
        calls.watch(calls.events())


def test_a_reply_without_end_is_refused() -> None:
    """A client's memory is bounded, whoever answers; the next round begins anew."""
    size = Size(10)
    size.add("x" * 10)
    size.reset()
    size.add("x" * 10)
    with pytest.raises(MalformedReply, match="more than 10 characters"):
        size.add("x")
    rounds = Rounds(calls.ps(), limit=100)
    with pytest.raises(MalformedReply, match="more than 100 characters"):
        feed(rounds, *[{"round": 1, "rows": 1000}] * 1000)


def test_the_values_of_a_node_that_is_down_are_an_error() -> None:
    """A program is told that the node is down, it does not count with a null."""
    for call in (calls.load("3"), calls.speed("3"), calls.mem("3")):
        text = "null" if call.request.verb != "mem" else '{"mem": null, "rmem": null, "tmem": null}'
        with pytest.raises(PeerUnreachable):
            call.result(Reply(200, text))
