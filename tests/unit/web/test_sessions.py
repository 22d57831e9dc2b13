"""How many sessions there are at a time, and what becomes of the streams of one that has to go."""

from __future__ import annotations

from twisted.internet.task import Clock

from gomd.web.limits import MAX_SESSIONS, MAX_SESSIONS_PER_CALLER
from gomd.web.sessions import Sessions
from libgomd.model import Caller, Role


def test_the_oldest_session_makes_room_and_its_streams_hear_it() -> None:
    """They would else go on with rights that are gone, until they look again by themselves."""
    sessions, ended = Sessions(Clock()), []
    ann = Caller(Role.USER, "ann", 1001, "tcp 127.0.0.1:1")
    kept = [sessions.begin(ann) for _ in range(MAX_SESSIONS_PER_CALLER)]
    first = sessions.find(*kept[0])
    assert first is not None
    first.on_end.add(lambda: ended.append(sessions.is_open(first)))
    sessions.begin(ann)
    assert ended == [False]
    assert sessions.find(*kept[0]) is None
    assert sessions.find(*kept[1]) is not None
    second = sessions.find(*kept[1])
    assert second is not None
    second.on_end.add(lambda: ended.append(sessions.is_open(second)))
    for number in range(MAX_SESSIONS - MAX_SESSIONS_PER_CALLER):
        sessions.begin(Caller(Role.USER, f"user{number}", 2000 + number, "tcp 127.0.0.1:1"))
    assert ended == [False]
    sessions.begin(Caller(Role.USER, "bob", 1002, "tcp 127.0.0.1:1"))
    assert ended == [False, False]
    assert len(sessions) == MAX_SESSIONS
