"""Requests to other nodes: each group of callers has its own places, each caller a share of them."""

from __future__ import annotations

import pytest

from gomd.verbs.dispatch import MAX_FORWARDS, MAX_FORWARDS_PER_CALLER
from gomd.verbs.quotas import Group
from libgomd.model import Role
from libgomd.testing import MemoryDaemon
from tests.unit.protocols.talk import Talk


def held(daemon: MemoryDaemon, group: Group) -> int:
    """Return how many places a group has taken, as `stats` would say."""
    name = f"forwards_of_{group.value}"
    return int(next(each.value for each in daemon.telnet_factory._dispatch.counters() if each.name == name))


@pytest.mark.parametrize("request_line", ["@all load", "@all ps", "@all nonsense", "@all stay", "@9 load"])
def test_a_place_is_given_back_when_the_answer_is_complete(request_line: str) -> None:
    """Also when it is refused."""
    daemon = MemoryDaemon()
    talk = Talk(daemon, Role.READ, "", None)
    for _ in range(3):
        assert talk.say(request_line)
        assert held(daemon, Group.READERS) == 0
    talk.hang_up()


def test_a_caller_who_goes_away_gives_it_back() -> None:
    """In the middle of an answer it does not read."""
    daemon = MemoryDaemon()
    talk = Talk(daemon, Role.READ, "", None)
    talk.send(b"@all help\r\n")
    talk.fill()
    talk.hang_up()
    daemon.advance(1.0)
    assert held(daemon, Group.READERS) == 0


def test_no_caller_has_all_places_of_its_group() -> None:
    """Admins may: they are one group of trust."""
    for group in (Group.READERS, Group.USERS):
        assert MAX_FORWARDS_PER_CALLER[group] <= MAX_FORWARDS[group] // 4
