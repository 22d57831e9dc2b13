"""docs/schema: every verb has one, they are current, and real answers are as they say."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from gomd.verbs.all import all_verbs
from gomd.verbs.schemas import DIRECTORY, WITHOUT, files
from libgomd.model import Caller, Event, EventKind, Output, Role
from libgomd.testing import MemoryDaemon
from libgomd.wire.values import dumps, encode, loads
from tests.unit.protocols.talk import Talk
from tests.unit.verbs.three_nodes import AWAY, ThreeNodes

#: What is asked of node 1 of three, by verb.
ASKED = {
    "help": "help", "version": "version", "whoami": "whoami", "nodes": "nodes", "node": "node 2",
    "load": "load",
    "speed": "speed", "cpus": "cpus", "util": "util", "mem": "mem", "status": "status", "map": "map",
    "ls": "ls /proc/hpc/nodes", "get": "get /proc/hpc/nodes/2/load", "ps": "ps", "where": "where 5",
    "signal": "signal 5 STOP", "renice": "renice 5 3", "migrate": "migrate 300 2 dry-run", "lock": "lock 300",
    "unlock": "unlock 300", "events": "events", "stats": "stats", "doctor": "doctor",
    "switches": "switches", "format": "format json",
    "put": "put /proc/hpc/admin/stay 1", "stay": "stay", "nostay": "nostay", "lstay": "lstay",
    "nolstay": "nolstay", "block": "block", "noblock": "noblock", "quiet": "quiet", "noquiet": "noquiet",
    "setspeed": "setspeed 15000", "setyard": "setyard 15000", "checkpoint": "checkpoint here",
    "shutdown": "shutdown", "busiest": "busiest", "bring": "bring", "expel": "expel",
}  # fmt: skip


def check(verb: str, value: Any) -> None:
    """Validate a row or a value."""
    jsonschema.validate(value, json.loads((DIRECTORY / f"{verb}.json").read_text(encoding="utf-8")))


def answer(daemon: MemoryDaemon, request: str) -> list[Any]:
    """Return the rows, or the one value, of an answer in JSON."""
    talk = Talk(daemon, Role.ADMIN)
    talk.say("format json")
    first, *lines = talk.say(request).splitlines()
    assert first[:3] in ("200", "201"), first
    if first.startswith("200"):
        return [json.loads(first[4:] or "null")]
    return [json.loads(line) for line in lines if line != "."]


def test_the_files_are_current() -> None:
    """All of them, and no others."""
    made = files()
    assert {path.name for path in DIRECTORY.iterdir()} == set(made)
    for name, text in made.items():
        assert (DIRECTORY / name).read_text(encoding="utf-8") == text, "python -m gomd.verbs.schemas"
        jsonschema.Draft202012Validator.check_schema(json.loads(text))
    assert {verb.name for verb in all_verbs()} - set(WITHOUT) | {"watch"} == {name[:-5] for name in made}


def test_every_answer_is_as_its_schema_says() -> None:
    """Of each verb that answers with a value or a block."""
    for verb, request in ASKED.items():
        node = ThreeNodes()
        node.jobs.away = []
        node.publish(Event(1.5, EventKind.JOIN, 2, "beta", "heard", 1))
        if verb == "expel":
            node.jobs.running = node.jobs.running[:1]
        found = answer(node, request)
        assert found, verb
        for value in found:
            check(verb, value)
    asked_elsewhere = {"do", "auth", "jobs", "kill", "carry", "page", "history", "measures", "invitation"}
    assert {verb.name for verb in all_verbs()} - set(WITHOUT) - set(ASKED) == asked_elsewhere


def test_jobs_and_what_is_done_to_them() -> None:
    """A row as the home table has it; `kill` and `auth` by a caller who may."""
    check("jobs", loads(dumps(encode(AWAY))))
    ended = replace(AWAY, pid=None, exit=3, ended=5.0, memory_max=1 << 20)
    check("jobs", loads(dumps(encode(ended))))
    for value in answer(ThreeNodes(), "kill 9 TERM"):
        check("kill", value)
    known = MemoryDaemon(tokens={"t0ken": Caller(Role.USER, "ada", 1000, "token")})
    for value in answer(known, "auth t0ken"):
        check("auth", value)


def test_a_command_and_a_watch() -> None:
    """Their rows come one by one."""
    daemon = MemoryDaemon(commands={"greet": [Output("hello"), Output(exit=0)]})
    for row in answer(daemon, "do greet"):
        check("do", row)
    node = ThreeNodes()
    for request in ("ps --top 2", "@1 ps --top 2", "@3 load", "load"):
        for row in answer(node, f"watch -c 1 {request}"):
            check("watch", row)


@pytest.mark.parametrize("verb", ["load", "mem", "node"])
def test_a_node_that_is_down(verb: str) -> None:
    """Null is a value of these."""
    for value in answer(ThreeNodes(), f"{verb} 3"):
        check(verb, value)


def test_a_wrong_answer_is_found() -> None:
    """The schemas say something."""
    for verb, value in (("load", "7"), ("nodes", {"id": 1}), ("mem", {"mem": 1}), ("status", 3), ("map", [])):
        with pytest.raises(jsonschema.ValidationError):
            check(verb, value)
