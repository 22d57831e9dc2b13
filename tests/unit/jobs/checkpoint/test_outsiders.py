"""The process that others are asked about, whether they are restricted: they may do more to it than look."""

from __future__ import annotations

import ctypes
import os
import select
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gomd.jobs.checkpoint import outsiders
from gomd.jobs.checkpoint.outsiders import Outsiders
from gomd.jobs.checkpoint.process_status import ProcessStatus
from gomd.jobs.checkpoint.whole_process import read_status
from libgomd.errors import CannotMove

USER, GROUP = 54321, 54322
#: Seconds that a test waits for a process to end.
TIMEOUT = 20.0
_SEIZE = 0x4206
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="processes of other users are started by root")


def status_of(uid: int, gid: int) -> ProcessStatus:
    """Return the status of a process of that user."""
    return replace(read_status("/proc/self"), uids=frozenset({uid}), gids=frozenset({gid}))


def own_children() -> set[str]:
    """Return the process ids of the children of this thread."""
    with open("/proc/thread-self/children", encoding="ascii") as file:
        return set(file.read().split())


@pytest.fixture
def started() -> Iterator[Outsiders]:
    """Nothing has been started yet."""
    found = Outsiders()
    yield found
    found.close()


@pytest.fixture(params=[(USER, GROUP), (0, 0)], ids=["user", "root"])
def outsider(request: pytest.FixtureRequest, started: Outsiders) -> Iterator[int]:
    """Start one, by a process that has what nobody else may get."""
    secret = os.open("/etc/shadow", os.O_RDONLY)
    os.set_inheritable(secret, True)
    try:
        yield started.of(status_of(*request.param))
    finally:
        os.close(secret)


def test_it_has_nothing_of_the_process_that_started_it(outsider: int) -> None:
    """Neither its memory nor its descriptors, directory or environment; nor any capability."""
    here = f"/proc/{outsider}"
    assert {os.readlink(f"{here}/fd/{name}") for name in os.listdir(f"{here}/fd")} == {"/dev/null"}
    assert os.path.realpath(f"{here}/exe") != os.path.realpath("/proc/self/exe")
    assert os.readlink(f"{here}/cwd") == "/"
    with open(f"{here}/environ", "rb") as environment:
        assert environment.read() == b""
    assert read_status(here).capabilities == 0


def test_its_user_may_look_at_it(outsider: int) -> None:
    """Else everybody would seem to be restricted."""
    uid = os.stat(f"/proc/{outsider}").st_uid
    assert {uid} == read_status(f"/proc/{outsider}").uids


def test_each_user_has_one_that_stays(started: Outsiders) -> None:
    """Also when it was begun long before it is needed."""
    started.begin(status_of(USER, GROUP))
    one, other = started.of(status_of(USER, GROUP)), started.of(status_of(USER + 1, GROUP))
    assert one != other
    assert started.of(status_of(USER, GROUP)) == one


def test_one_that_was_ended_is_started_anew(started: Outsiders) -> None:
    """A process of the same user may end it."""
    one = started.of(status_of(USER, GROUP))
    os.kill(one, signal.SIGKILL)
    os.waitid(os.P_PID, one, os.WEXITED | os.WNOWAIT)
    other = started.of(status_of(USER, GROUP))
    assert read_status(f"/proc/{other}").uids == {USER}


def test_none_is_left(started: Outsiders) -> None:
    """Neither one that was asked about nor one that was only begun."""
    before = own_children()
    started.of(status_of(USER, GROUP))
    started.begin(status_of(USER + 1, GROUP))
    assert len(own_children() - before) == 2
    started.close()
    started.close()
    assert own_children() <= before


def test_they_end_with_the_process_that_started_them() -> None:
    """Even when that is killed: they would be taken for a process of the job that outlived its parent."""
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        try:
            os.write(writing, b"%d\n" % Outsiders().of(status_of(USER, GROUP)))
            signal.pause()
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading, "rb") as pipe:
        handle = os.pidfd_open(int(pipe.readline()))
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    ended = ends(handle)
    os.close(handle)
    assert ended, "it outlived the process that started it"


def ends(handle: int) -> bool:
    """Return whether the process of a pidfd ends within the time that a test waits."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(TIMEOUT * 1000))


def test_one_that_is_traced_is_not_waited_for(started: Outsiders) -> None:
    """The job's processes may trace it, and so keep it a zombie for as long as they want."""
    one = started.of(status_of(USER, GROUP))
    reading, writing = os.pipe()
    tracer = os.fork()
    if tracer == 0:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            libc.ptrace.argtypes, libc.ptrace.restype = (ctypes.c_long,) * 4, ctypes.c_long
            os.write(writing, b"%d" % libc.ptrace(_SEIZE, one, 0, 0))
            signal.pause()
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading, "rb") as pipe:
        assert pipe.read(1) == b"0"
    try:
        signal.signal(signal.SIGALRM, _took_too_long)
        signal.alarm(int(TIMEOUT))
        started.close()
        assert read_status(f"/proc/{one}").state == "Z"
    finally:
        signal.alarm(0)
        os.kill(tracer, signal.SIGKILL)
        os.waitpid(tracer, 0)
        os.waitpid(one, 0)


def test_one_that_is_stopped_before_it_is_ready_is_not_waited_for(
    started: Outsiders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of its user can stop it between the change of its user and its program."""
    monkeypatch.setattr(outsiders, "_START_TIMEOUT", 0.1)
    monkeypatch.setattr(os, "execve", lambda *_arguments: os.kill(os.getpid(), signal.SIGSTOP))
    with pytest.raises(CannotMove, match=r"sleep\(1\) hangs"):
        started.of(status_of(USER, GROUP))
    started.close()


def _took_too_long(_number: int, _frame: object) -> None:
    raise AssertionError("it waits for the one who traces")


def test_a_system_without_a_program_that_waits_is_named(
    started: Outsiders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job stays, and a person can tell why."""
    monkeypatch.setattr(outsiders, "_WAITING", ("/nonexistent/sleep",))
    with pytest.raises(CannotMove, match=r"there is no sleep\(1\)"):
        started.of(status_of(USER, GROUP))
