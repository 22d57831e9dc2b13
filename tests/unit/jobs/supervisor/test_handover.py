"""What supervisors hand over: there and back, as older versions wrote it, and forged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gomd.jobs.checkpoint.frozen_state import FrozenState
from gomd.jobs.checkpoint.inherited_attributes import Inherited
from gomd.jobs.checkpoint.kept_attributes import ProcessAttributes, ThreadAttributes
from gomd.jobs.supervisor import handover
from gomd.jobs.supervisor.handover import HandedInput, HandedJob, HandedOutput, Handover
from gomd.jobs.supervisor.terminal_state import HandedTerminal, TerminalModes, TypedAhead
from libgomd.errors import CannotMove
from libgomd.wire import frames

_HANDOVER = Handover(
    300, ("pipe:[1]", "pipe:[2]", ""), (305,),
    HandedJob(1000, 1000, (1000, 24), ("cat", "\udcff"), "me", "/home/me", False, True, 1.5e9, 1 << 30, 2.5),
    {frames.STDOUT: HandedOutput(7, b"\x00\xffrest", True), frames.STDERR: HandedOutput(0, b"", False)},
    HandedInput(100, 90, b"typed", False),
    FrozenState(
        {300: 1 << 9, 305: (1 << 64) - 1}, Inherited(0x40000, 128),
        {300: ProcessAttributes("33", -3, 1.5, {300: ThreadAttributes(
            (1, 3), 16390, 777, (3, 1, -7, 0, 0, 0, 2**64 - 1, 0, 1024), ("thread mitigated",)),
            301: ThreadAttributes()})},
        sockets={300: {4: ((0, 33, 9),)}},
    ),
)  # fmt: skip


def written(tmp_path: Path) -> dict[str, Any]:
    """Return what is in the file of `_HANDOVER`."""
    handover.write(str(tmp_path), _HANDOVER)
    told: dict[str, Any] = json.loads((tmp_path / handover.HANDOVER).read_text("ascii"))
    return told


def test_it_comes_back(tmp_path: Path) -> None:
    """As it was, and in a file of its own that nobody else reads."""
    handover.write(str(tmp_path), _HANDOVER)
    assert handover.read(str(tmp_path)) == _HANDOVER
    assert (tmp_path / handover.HANDOVER).stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        handover.write(str(tmp_path), _HANDOVER)


def test_what_older_versions_wrote(tmp_path: Path) -> None:
    """The names and values of before; of the job only those that it had."""
    told = {
        "pid": 300, "names": ["pipe:[1]", "pipe:[2]", ""], "stopped": [305],
        "spec": {"argv": ["cat", "\udcff"], "uid": 1000, "gid": 1000, "groups": [1000, 24], "user": "me",
                 "cwd": "/home/me", "merge": True, "began": 1.5e9, "memory_max": 1 << 30, "used": 2.5},
        "outputs": {"18": {"begin": 7, "data": "AP9yZXN0", "open": True},
                    "19": {"begin": 0, "data": "", "open": False}},
        "stdin": {"received": 100, "taken": 90, "waiting": "dHlwZWQ=", "ended": False},
    }  # fmt: skip
    assert handover.parse(told) == _HANDOVER._replace(state=None)
    spec: Any = {**told["spec"], "tty": False, "carry": []}  # type: ignore[dict-item]
    more = {"state": None, "stops": 0, "terminal": None}
    assert {**written(tmp_path), "state": None} == {**told, "spec": spec, **more}


@pytest.mark.parametrize("account", [
    {"uid": "1000"}, {"uid": None}, {"uid": -1}, {"uid": True}, {"uid": 2**32 - 1}, {"gid": 1.0},
    {"gid": -1}, {"groups": None}, {"groups": [None]}, {"groups": "24"}, {"groups": {"24": 1}},
])  # fmt: skip
def test_an_account_that_is_none(tmp_path: Path, account: dict[str, object]) -> None:
    """What is checked of the copy depends on it, so nothing is guessed."""
    told = written(tmp_path)
    with pytest.raises(CannotMove, match="whom it runs as"):
        handover.parse({**told, "spec": {**told["spec"], **account}})


@pytest.mark.parametrize("change", [
    {"pid": "300"}, {"names": ["", ""]}, {"names": [1, 2, 3]}, {"stopped": 3}, {"outputs": []},
    {"outputs": {}}, {"outputs": {"18": {"begin": 0, "data": "!", "open": True}}}, {"stdin": None},
    {"stdin": {"received": 1, "taken": 1, "waiting": "", "ended": 0}}, {"spec": None}, {"spec": [1]},
    {"state": []}, {"state": {"pending": []}}, {"state": {"pending": {"300": -1}}},
    {"state": {"pending": {"300": True}}}, {"state": {"pending": {"x": 1}}}, {"state": {"inherited": 7}},
    {"state": {"attributes": {"x": {}}}}, {"state": {"attributes": {"300": {"core_filter": "3 3"}}}},
    {"state": {"attributes": {"300": {"threads": {"301": {"scheduling": [1]}}}}}},
    {"state": {"attributes": {"300": {"threads": {"301": {"cpus": ["1"]}}}}}},
    {"places": ["tmp"]}, {"shown": ["/tmp/../etc"]}, {"shown": ["/tmp//x"]}, {"shown": ["/tmp/x/"]},
    {"shown": ["/tmp/./x"]}, {"shown": ["/tmp/x\0"]}, {"shown": ["//tmp/x"]}, {"shown": [""]},
])  # fmt: skip
def test_damaged_handovers(tmp_path: Path, change: dict[str, object]) -> None:
    """Each is one error, which the caller is told."""
    with pytest.raises(CannotMove):
        handover.parse({**written(tmp_path), **change})


@pytest.mark.parametrize("path", ["relative", "/home/me/..", "/home/me/", "/home//me", "/home/\0", "", "//x"])
def test_carried_paths_that_are_none(tmp_path: Path, path: str) -> None:
    """They decide where root mounts something."""
    told = written(tmp_path)
    with pytest.raises(CannotMove, match="no plain absolute path"):
        handover.parse({**told, "spec": {**told["spec"], "carry": [path]}})


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"null", b"{", b"{}", b"[" * 100000, b"\0" * 10])
def test_damaged_files(tmp_path: Path, data: bytes) -> None:
    """Another node wrote them: whatever is in them is the one error."""
    (tmp_path / handover.HANDOVER).write_bytes(data)
    with pytest.raises(CannotMove):
        handover.read(str(tmp_path))


def test_a_terminal_comes_along(tmp_path: Path) -> None:
    """A job has one, or has none, by both accounts."""
    modes = TerminalModes((1, 2, 3, 4, 15, 15), bytes(range(20)))
    terminal = HandedTerminal((24, 80, 0, 0), modes, 300, TypedAhead(b"ls", (2,)), "tty[500:6]")
    with_one = _HANDOVER._replace(spec=_HANDOVER.spec._replace(tty=True), terminal=terminal)
    handover.write(str(tmp_path), with_one)
    assert handover.read(str(tmp_path)) == with_one
    told = json.loads((tmp_path / handover.HANDOVER).read_text("ascii"))
    changes: list[dict[str, Any]] = [
        {"terminal": None},
        {"terminal": {}},
        {"terminal": 5},
        {"spec": {**told["spec"], "tty": False}},
    ]
    for change in changes:
        with pytest.raises(CannotMove, match="what came with it"):
            handover.parse({**told, **change})
