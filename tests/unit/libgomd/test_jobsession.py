"""What both clients share of a job: facts, waiting input and output, and what a daemon owes at once."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given

from libgomd.errors import GomdError, MalformedRequest, NotPossible
from libgomd.jobsession import JobFacts, JobSession
from libgomd.wire import frames
from libgomd.wire.attachment import Started
from libgomd.wire.frames import FrameParser, MalformedFrame


def attached_session(**told: object) -> JobSession:
    """Return the session of job 7, attached from the beginning."""
    session = JobSession()
    session.connected()
    [asked] = FrameParser().feed(session.data_to_send())
    number = frames.decode_json(asked.payload)["n"]
    facts = {"job": 7, "home": 1, "node": 1, "pid": 42}
    session.receive(frames.encode_json(frames.STARTED, facts))
    positions = {"stdout": 0, "stderr": 0, "stdin": 0, "stdin_taken": 0, "n": number}
    session.receive(frames.encode_json(frames.ATTACHED, {**positions, **told}))
    assert session.attached
    return session


@pytest.mark.parametrize("name", ["job", "home", "node"])
@pytest.mark.parametrize("value", [None, "7", True, 7.5, []])
def test_a_job_that_is_not_described(name: str, value: object) -> None:
    """Each number has to be one."""
    told = {"job": 7, "home": 1, "node": 1, "pid": None, "later": "version", name: value}
    with pytest.raises(MalformedFrame, match="job, home, node and pid"):
        JobFacts.read(Started.decode(json.dumps(told).encode()))


def test_what_is_written_before_it_is_attached_waits() -> None:
    """And goes out in order, the end of the input behind it."""
    session = JobSession()
    session.write(b"early")
    session.close_stdin()
    assert (session.input_written, session.input_waiting) == (5, 5)
    with pytest.raises(NotPossible, match="closed"):
        session.write(b"late")
    assert session.data_to_send() == b""


def test_a_job_whose_input_is_closed_takes_none() -> None:
    """A detached job's is; so is that of a job whose last caller has closed it."""
    session = attached_session(stdin_ended=True)
    with pytest.raises(NotPossible):
        session.write(b"anything")


def test_lost_output_is_counted_and_an_end_wakes_nobody_twice() -> None:
    """The oldest output of a detached job may be gone; output stays readable behind the end."""
    session = attached_session(stdout=10)
    assert session.lost_output == 10
    session.receive(frames.encode(frames.STDOUT, b"new"))
    session.receive(frames.encode_json(frames.EXIT, {"exit": 137, "reason": "killed"}))
    assert session.exited is not None
    assert session.exited.status == 137
    assert session.next_chunk() == ("stdout", b"new")
    assert session.next_chunk() is None


def test_what_a_daemon_owes() -> None:
    """The rest of a frame, and an ATTACHED behind an early EXIT; silence is no debt."""
    session = attached_session()
    due = lambda: session.answer_due  # noqa: E731 - it changes
    assert not due()
    session.receive(b"\x12")
    assert due()
    session.receive(b"\0\0\0\x01x")
    assert not due()
    session.connected()
    session.receive(frames.encode_json(frames.EXIT, {"exit": 0}))
    assert due()
    assert session.exited is None


@pytest.mark.parametrize("number", [0, 65, -1, "", "NONE", "SIGSIGTERM"])
def test_signals_that_are_none(number: int | str) -> None:
    """They are refused here."""
    with pytest.raises(MalformedRequest, match="there is no signal"):
        attached_session().signal(number)


@pytest.mark.parametrize("number", [15, "TERM", "sigterm", "SIGTERM"])
def test_signals_by_number_and_name(number: int | str) -> None:
    """All of these are the same."""
    session = attached_session()
    session.signal(number, group=False)
    [frame] = FrameParser().feed(session.data_to_send())
    assert frames.decode_signal(frame.payload) == (15, False)


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_any_bytes_mean_something_or_are_an_error_of_the_library(pieces: list[bytes]) -> None:
    """A daemon that lies makes no client fail in another way."""
    session = attached_session()
    try:
        for piece in pieces:
            session.receive(piece)
    except GomdError:
        pass
