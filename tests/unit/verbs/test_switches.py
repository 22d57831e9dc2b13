"""The reasons of switches: who set them, when and why."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from libgomd.model import MAX_REASON, Role
from libgomd.testing import MemoryDaemon
from tests.unit.protocols.talk import Talk


@pytest.fixture
def daemon() -> MemoryDaemon:
    """A node that keeps notes."""
    return MemoryDaemon()


def rows(daemon: MemoryDaemon) -> dict[str, dict[str, Any]]:
    """Return the rows of `switches` by name, as a reader sees them."""
    talk = Talk(daemon, Role.READ)
    talk.say("format json")
    lines = talk.say("switches").splitlines()[1:-1]
    return {row["switch"]: row for row in map(json.loads, lines)}


def test_who_when_and_why(daemon: MemoryDaemon) -> None:
    """Of a switch that is set, and of one that was cleared; of others nothing is known."""
    talk = Talk(daemon, Role.ADMIN)
    assert talk.say("block the disk is 'replaced today'").startswith("200 ")
    talk.say("stay")
    talk.say("nostay repaired")
    found = rows(daemon)
    assert list(found) == ["stay", "lstay", "block", "quiet"]
    block = found["block"]
    assert (block["set"], block["by"], block["reason"]) == (True, "root", "the disk is replaced today")
    assert block["since"] > 0
    assert (found["stay"]["set"], found["stay"]["reason"]) == (False, "repaired")
    assert found["quiet"] == {"switch": "quiet", "set": False, "since": None, "by": None, "reason": None}
    said = Talk(daemon, Role.READ).say("switches")
    assert re.search(r"block  yes \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ root the disk is replaced today", said)


def test_what_was_said_of_another_state_is_not_shown(daemon: MemoryDaemon) -> None:
    """`put` sets switches too, and has no reason; the one before it is no longer true."""
    talk = Talk(daemon, Role.ADMIN)
    talk.say("block because")
    talk.say("put /proc/hpc/admin/block 0")
    assert (rows(daemon)["block"]["set"], rows(daemon)["block"]["reason"]) == (False, None)
    talk.say("put /proc/hpc/admin/block 1")
    assert (rows(daemon)["block"]["set"], rows(daemon)["block"]["reason"]) == (True, None)


@pytest.mark.parametrize("request_", ["block " + "x" * (MAX_REASON + 1), "block 'a\x1b[2Jb'"])
def test_a_reason_is_one_line(daemon: MemoryDaemon, request_: str) -> None:
    """400, and nothing is set."""
    assert Talk(daemon, Role.ADMIN).say(request_).startswith("400 ")
    assert not rows(daemon)["block"]["set"]


@pytest.mark.parametrize("words", ["--help", "-n two", "'-h'", "--dry-run now"])
@pytest.mark.parametrize("verb", ["block", "stay", "expel", "bring", "noquiet"])
def test_an_option_is_no_reason(daemon: MemoryDaemon, verb: str, words: str) -> None:
    """Who types `expel --help` does not want to send the guests away."""
    before = rows(daemon)
    said = Talk(daemon, Role.ADMIN).say(f"{verb} {words}")
    assert said.startswith("400 there is no option -"), said
    assert rows(daemon) == before


def test_a_reader_sets_nothing(daemon: MemoryDaemon) -> None:
    """403 with a reason as without."""
    assert Talk(daemon, Role.READ).say("block because I want").startswith("403 ")
