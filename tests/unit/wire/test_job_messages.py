"""The values between daemons and supervisors: there and back, as older versions wrote them, and damaged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libgomd.wire import frames, job_messages
from libgomd.wire.frames import FrameParser, MalformedFrame
from libgomd.wire.job_messages import (
    AttachedJob,
    JobExit,
    JobMessage,
    JobReport,
    SpawnSpec,
    StartFailure,
    ViewSpec,
)
from libgomd.wire.job_orders import AwaitOrder, FreezeOrder, KeepOrder, LockOrder, OrderOutcome, PlainOrder

_SPEC = SpawnSpec(
    "1-7", "/spool/1-7", "node 1 alpha", 1 << 20, ("echo", "\udcff"), {"PATH": "/bin"}, "/home/me", 0o27,
    1000, 1000, (1000, 24), "me", True, (50, 132), True, False, True, 2, 1 << 30,
    ("/sys/fs/cgroup/jobs", "unified"), -1, 1.5e9, 3.25, None, "", 4711, None,
)  # fmt: skip
_RESTORE = SpawnSpec(
    "1-7", "/spool/1-7", "node 2 beta", 1 << 20, images="/images", criu="criu", expected_uid=0
)
_RUNNING = JobReport(
    "1-7", 4711, 4710, 1000, 1000, "me", ("sleep", "9"), "/", True, began=1.5e9, cantmove="x"
)
_FREEZE = FreezeOrder("criu", "/images", "10.0.0.2", 5429, ("ca", "cert", "key"), 600.0)
_EACH = [
    (_SPEC, frames.SPEC),
    (_SPEC._replace(attach=frames.AttachRequest(0, 5, 1 << 40, True)), frames.SPEC),
    (_RUNNING._replace(attached=True), frames.STARTED),
    (_RESTORE, frames.SPEC),
    (ViewSpec("/spool/1-7", 1 << 20), frames.SPEC),
    (_RUNNING, frames.STARTED),
    (AttachedJob(7, 1, 2, 4711, True), frames.STARTED),
    (JobExit(143, "out of memory"), frames.EXIT),
    (JobExit(255, "job 7 is lost", True), frames.EXIT),
    (StartFailure(127, "nonsuch: command not found"), frames.FAILED),
    (_FREEZE, frames.MOVE),
    (PlainOrder("thaw"), frames.MOVE),
    (PlainOrder("end"), frames.MOVE),
    (LockOrder(True), frames.MOVE),
    (KeepOrder(65536), frames.MOVE),
    (AwaitOrder("1-7", ("/sys/fs/cgroup/gomd-jobs", "unified")), frames.MOVE),
    (AwaitOrder("1-7", None, "/usr/sbin/criu", "/spool/moving/1", ("ca", "cert", "key")), frames.MOVE),
    (OrderOutcome("freeze", "it has ended"), frames.MOVED),
    (OrderOutcome("end", "", ((12, False), (15, True))), frames.MOVED),
    (OrderOutcome("received"), frames.MOVED),
    (OrderOutcome("freeze", precopied=1 << 30, precopy_seconds=8.5), frames.MOVED),
    (_FREEZE._replace(precopy=1 << 25), frames.MOVE),
]


@pytest.mark.parametrize(("value", "kind"), _EACH)
def test_each_comes_back(value: JobMessage, kind: int) -> None:
    """In the frame that it belongs to, and from a file."""
    [frame] = FrameParser().feed(job_messages.encode(value))
    assert frame.kind == kind
    assert job_messages.decode(type(value), frame.payload) == value
    told = json.loads(json.dumps(job_messages.to_json(value)))
    assert job_messages.from_json(type(value), told) == value


@pytest.mark.parametrize(("value", "_kind"), _EACH)
def test_names_of_a_later_version_are_ignored(value: JobMessage, _kind: int) -> None:
    """A later version may tell more."""
    told = json.loads(json.dumps(job_messages.to_json(value)))
    assert job_messages.from_json(type(value), {**told, "later": {"x": 1}}) == value


@pytest.mark.parametrize(("value", "_kind"), _EACH)
def test_missing_names(value: JobMessage, _kind: int) -> None:
    """A missing or null name has its default; where there is none the error names it."""
    told = json.loads(json.dumps(job_messages.to_json(value)))
    kind = type(value)
    for name in kind._fields:
        for less in ({key: each for key, each in told.items() if key != name}, {**told, name: None}):
            if name in kind._field_defaults:
                found = job_messages.from_json(kind, less)
                assert getattr(found, name) == kind._field_defaults[name]
            else:
                with pytest.raises(MalformedFrame, match=rf"\b{name}$"):
                    job_messages.from_json(kind, less)


@pytest.mark.parametrize(("value", "_kind"), _EACH)
def test_ill_typed_names(value: JobMessage, _kind: int) -> None:
    """No field takes an object of JSON that nobody wrote, nor a list of such."""
    told = json.loads(json.dumps(job_messages.to_json(value)))
    for name in type(value)._fields:
        for wrong in ({"a": 1}, [[1]], [None]):
            with pytest.raises(MalformedFrame, match=name):
                job_messages.from_json(type(value), {**told, name: wrong})


@pytest.mark.parametrize(("kind", "told"), [
    (JobExit, {"exit": "0"}), (JobExit, {"exit": True}), (JobExit, {"exit": 1.0}),
    (JobExit, {"exit": 1 << 63}), (JobExit, {"exit": 0, "reason": 7}), (JobExit, {"exit": 0, "lost": 1}),
    (JobExit, []), (JobExit, None),
    (OrderOutcome, {"did": "end", "signals": [[12]]}), (OrderOutcome, {"did": "end", "signals": [[12, 0]]}),
    (OrderOutcome, {"did": "end", "signals": [["12", True]]}), (OrderOutcome, {"did": 3}),
])  # fmt: skip
def test_damaged_values(kind: type[JobMessage], told: object) -> None:
    """Each is one error."""
    with pytest.raises(MalformedFrame):
        job_messages.from_json(kind, told)


@pytest.mark.parametrize("began", [float("nan"), float("inf"), -1, "1", True])
def test_times_that_are_none(began: object) -> None:
    """JSON as Python reads it knows more numbers than there are times."""
    told = job_messages.to_json(_RUNNING) | {"argv": [], "began": began}
    with pytest.raises(MalformedFrame, match="began"):
        job_messages.from_json(JobReport, told)


def test_a_spec_is_for_starting_or_restoring_or_viewing() -> None:
    """What is missing of a job to start comes with the images of one to restore."""
    payload = json.dumps(job_messages.to_json(_RESTORE)).encode()
    assert job_messages.decode_spec(payload) == _RESTORE
    told = job_messages.to_json(_SPEC)
    for name in ("argv", "env", "cwd", "umask", "uid", "gid", "groups", "user"):
        with pytest.raises(MalformedFrame, match=f"its {name}"):
            job_messages.decode_spec(json.dumps({**told, name: None}).encode())
    viewed = b'{"view": true, "detach": true, "directory": "/spool/1-7", "spool_bytes": 9}'
    assert job_messages.decode_spec(viewed) == ViewSpec("/spool/1-7", 9)


def test_orders() -> None:
    """Each is told by its name; one of a later version is none that can be carried out."""
    for value in (
        _FREEZE,
        PlainOrder("thaw"),
        PlainOrder("end"),
        LockOrder(False),
        KeepOrder(7),
        AwaitOrder("1-7"),
    ):
        [frame] = FrameParser().feed(job_messages.encode(value))
        assert job_messages.decode_order(frame.payload) == value
        assert json.loads(frame.payload)["do"] == value.do
    assert job_messages.decode_order(b'{"do": "dance"}') is None
    for damaged in (b"{}", b'{"do": 7}', b'{"do": "lock"}', b'{"do": "keep", "bytes": "7"}', b"[]"):
        with pytest.raises(MalformedFrame):
            job_messages.decode_order(damaged)


def test_what_older_versions_wrote() -> None:
    """The bytes of frames and files as gomd wrote them before these values."""
    started: dict[str, Any] = {
        "id": "1-7", "argv": ["sleep", "9"], "uid": 1000, "gid": 1000, "user": "me", "cwd": "/",
        "detach": True, "tty": None, "lock": False, "nmigs": 0, "images": None, "began": 1.5e9, "used": None,
        "pid_at_home": None, "memory_max": None, "pid": 4711, "supervisor": 4710, "cantmove": "",
    }  # fmt: skip
    assert job_messages.from_json(JobReport, started) == JobReport(
        "1-7", 4711, 4710, 1000, 1000, "me", ("sleep", "9"), "/", True, began=1.5e9
    )
    assert set(job_messages.to_json(_RUNNING)) == {*started, "carry", "terminal_moves"}
    assert job_messages.encode(JobExit(3)) == frames.encode_json(frames.EXIT, {"exit": 3, "reason": ""})
    lost = {"exit": 255, "reason": "x", "lost": True}
    assert job_messages.encode(JobExit(255, "x", True)) == frames.encode_json(frames.EXIT, lost)
    done = {"did": "thaw", "error": ""}
    assert job_messages.encode(OrderOutcome("thaw")) == frames.encode_json(frames.MOVED, done)
    left = {"did": "end", "error": "", "signals": [[12, False]]}
    assert job_messages.encode(OrderOutcome("end", "", ((12, False),))) == frames.encode_json(
        frames.MOVED, left
    )
    order = {"criu": "criu", "directory": "/images", "address": "10.0.0.2", "port": 5429,
             "tls": ["ca", "cert", "key"], "limit": 600.0, "do": "freeze"}  # fmt: skip
    assert json.loads(json.dumps(job_messages.to_json(_FREEZE))) == order


@given(st.binary())
def test_any_bytes(payload: bytes) -> None:
    """Any payload gives a value or the one error."""
    for decode in (job_messages.decode_spec, job_messages.decode_order):
        try:
            decode(payload)
        except MalformedFrame:
            pass


_JSON = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text() | st.integers())
)


@given(st.dictionaries(st.sampled_from(_RUNNING._fields), _JSON))
def test_any_object(told: dict[str, Any]) -> None:
    """Any object gives a value or the one error, and a value is written as it was read."""
    try:
        value = job_messages.from_json(JobReport, told)
    except MalformedFrame:
        return
    assert job_messages.from_json(JobReport, json.loads(json.dumps(job_messages.to_json(value)))) == value
