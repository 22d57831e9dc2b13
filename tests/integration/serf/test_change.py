"""A cluster changes its engine under a running job, node by node and without a stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.integration.conftest import StartDaemon
from tests.integration.daemon import Daemon
from tests.integration.jobs import begin, job, running
from tests.integration.serf.room import SerfRoom, eventually, needed, rows, told, up

NODES = (2, 3)


@pytest.fixture
def room(start_daemon: StartDaemon, tmp_path: Path) -> Iterator[SerfRoom]:
    """A cluster that is empty yet."""
    room = SerfRoom(start_daemon, tmp_path)
    yield room
    room.close()


@pytest.mark.one_program
@pytest.mark.parametrize("engine", ["serf", "swim"])
def test_the_engine_is_changed_under_a_running_job(room: SerfRoom, engine: str) -> None:
    """Heartbeat, both, the new one: each restart is a leave and a join, and the job runs on."""
    if engine == "serf":
        needed()
    else:
        pytest.importorskip("kinship", reason="kinship is for Python 3.11 and later")
    for number in NODES:
        room.add(number, "heartbeat")
    daemons = room.daemons
    eventually(lambda: all(up(daemon) == set(NODES) for daemon in daemons.values()))
    caller = begin(daemons[2], "run", "--detach", "sleep", "300")
    assert caller.wait(30) == 0
    started = running(daemons[2])

    for engines in (f"heartbeat, {engine}", engine):
        for number in NODES:
            other = daemons[NODES[1] if number == NODES[0] else NODES[0]]
            before = len(told(other, number))
            assert daemons[number].stop() in (0, -signal.SIGTERM)
            room.add(number, engines)
            eventually(partial(_joined, other, number, before))  # a busy machine tells it later
            eventually(lambda: all(up(daemon) == set(NODES) for daemon in daemons.values()))
            if number == NODES[1] and "," in engines:
                eventually(lambda: all(_up_by(engine, daemon) == len(NODES) for daemon in daemons.values()))
            assert _changes(other, number, before) == ["leave", "join"], told(other, number)
            assert job(daemons[2], started["job"])["state"] == "running"
        if "," in engines:
            found = {row["check"]: row for row in rows(daemons[3], "doctor")}
            assert found["engine"]["text"].startswith(f"engine heartbeat and {engine}, 2 nodes")
    with daemons[2].connect_unix() as line:
        assert line.ask(f"signal {started['pid']} TERM").code == 200
    eventually(lambda: job(daemons[2], started["job"])["state"] != "running")
    for daemon in daemons.values():
        assert "Traceback" not in daemon.log
        assert "another [peers] engine" not in daemon.log


def _joined(daemon: Daemon, number: int, before: int) -> bool:
    return "join" in _changes(daemon, number, before)


def _changes(daemon: Daemon, number: int, before: int) -> list[str]:
    """Return what a daemon told of a node after its first ``before`` events, but for a busy machine's own."""
    kinds = [kind for kind, _reason in told(daemon, number)[before:]]
    return [kind for kind in kinds if kind not in ("suspect", "up")]


def _up_by(engine: str, daemon: Daemon) -> int:
    """Return how many nodes one of two engines has up; an administrator looks at it before the next step."""
    found: int = next(row["value"] for row in rows(daemon, "stats") if row["name"] == f"nodes_up_{engine}")
    return found
