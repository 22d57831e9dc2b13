"""What else may befall a job that moves: full disks, no memory, wrong keys, callers that go, its own end."""

from __future__ import annotations

import base64
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from gomd.jobs.checkpoint import process_tree
from tests.integration import faulty
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.faulty import Fault
from tests.integration.jobs import gom, jobs, until
from tests.integration.moving_trio import STATUS, Moving, Trio, inject
from tests.integration.test_criu import find_criu

#: All moments at which criu may be killed in the job: `make faults`.
ALL = bool(os.environ.get("GOMD_ALL_FAULTS"))
#: Bytes of the disk that node 2 has for images.
ROOM = 48 << 20


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    """Three daemons; the second has its spool on a small disk."""
    criu = find_criu()
    home = tmp_path_factory.mktemp("trio")
    disk = home / "disk"
    disk.mkdir()
    made = Trio(home, 9, criu, {2: ("--set", f"jobs.spool={disk}/spool")})
    made.nodes[2].spool = disk / "spool"
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "gomd-test", str(disk)], check=True)
    try:
        made.start()
        yield made
    finally:
        made.end()
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def job(trio: Trio) -> Iterator[Moving]:
    """A job on node 1."""
    made = Moving(trio, 1)
    yield made
    made.close()
    for daemon in trio.nodes.values():
        daemon.fault.unlink(missing_ok=True)
        (daemon.spool / "filler").unlink(missing_ok=True)


def ask(daemon: Daemon, request: str) -> tuple[int, str]:
    """Return code and text of an answer."""
    with daemon.connect_unix() as line:
        answer = line.ask(request)
        return answer.code, answer.text


def test_no_room_for_its_memory(job: Moving, trio: Trio) -> None:
    """A target whose disk is full refuses before anything is frozen, and says so."""
    trio.nodes[2].spool.mkdir(exist_ok=True)
    faulty.fill(str(trio.nodes[2].spool))
    _out, error = job.migrate(2).communicate(timeout=PATIENCE)
    assert b"node 2 node2 has no room for" in error
    job.settle(1, 0)
    job.finish(1, 0)


def test_the_disk_fills_meanwhile(job: Moving, trio: Trio) -> None:
    """A disk that fills while the memory comes: the job stays, and the reason is told."""
    fault = Fault("before send ready", "fill", arg=str(trio.nodes[2].spool))
    told = inject(trio, job, 1, 2, 2, fault)
    assert "no space is left" in told, told
    job.settle(1, 0)
    job.finish(1, 0)


def test_no_memory_for_it(job: Moving, trio: Trio) -> None:
    """A target without memory refuses."""
    told = inject(trio, job, 1, 2, 2, Fault("before write receiving", "poor"))
    assert "node 2 node2 has 1 MB free" in told, told
    job.settle(1, 0)
    job.finish(1, 0)


def _children(pid: int) -> list[int]:
    """Return the processes that ``pid`` has begun."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_no_memory_to_bring_it_up(trio: Trio) -> None:
    """criu that gets no memory at the restore: the job stays, and the reason is told."""
    assert gom(trio.nodes[1], "run", "-n", "2", "true").returncode == 0  # its launcher is there
    children = _children(trio.nodes[2].process.pid)
    launcher = next(pid for pid in children if Path(f"/proc/{pid}/comm").read_text() == "gomd-launcher\n")
    unlimited = resource.prlimit(launcher, resource.RLIMIT_AS, (256 << 20, resource.RLIM_INFINITY))
    for _look in range(10):  # one that waits for the next job, or is just being forked, has no limit yet
        for supervisor in process_tree.descendants(launcher, whole=False)[1:]:
            with suppress(ProcessLookupError):
                resource.prlimit(supervisor, resource.RLIMIT_AS, (256 << 20, resource.RLIM_INFINITY))
        time.sleep(0.05)
    job = Moving(trio, 1, size=20 << 20, reserve=400 << 20)
    try:
        _out, error = job.migrate(2).communicate(timeout=PATIENCE)
        assert b"there is not enough memory" in error, error
        job.settle(1, 0)
        job.finish(1, 0)
    finally:
        resource.prlimit(launcher, resource.RLIMIT_AS, unlimited)
        job.close()


def test_a_move_after_one_that_failed(job: Moving, trio: Trio) -> None:
    """A freeze that was for nothing leaves nothing behind that the next one stumbles over."""
    for _try in range(2):
        told = inject(trio, job, 1, 2, 2, Fault("before act restore", "criu", arg=f"{trio.criu} restore"))
        assert "criu" in told, told
    _out, error = job.migrate(2).communicate(timeout=PATIENCE)
    assert not error, error
    job.settle(2, 1)
    job.finish(2, 1)


@pytest.mark.parametrize("call", range(22, 34, 1 if ALL else 3))
def test_criu_killed_while_the_job_works_for_it(job: Moving, trio: Trio, call: int) -> None:
    """
    The one moment at which a job is lost with a criu that is killed; see docs/migration-decision.md.

    It then ends by a signal, once and everywhere, and the log says why. Before and behind it the job runs on.
    """
    said = len(trio.nodes[1].lines)
    inject(trio, job, 1, 2, 1, Fault("before begin freeze", "criu", arg=f"{trio.criu} dump ptrace {call}"))
    until(lambda: job.caller.poll() is not None or job.is_settled(1, 0) == "")
    if job.caller.poll() is None:
        job.settle(1, 0)
        job.finish(1, 0)
        return
    job.stop()
    assert job.caller.returncode in (128 + signal.SIGTRAP, 128 + signal.SIGSEGV), job.told("another end")
    row = until(lambda: (row := job.row()) and row["state"] == "done" and row)
    assert (row["node"], row["exit"]) == (1, job.caller.returncode), row
    job.gone()
    assert any("criu was ended by signal 9, in the middle" in x for x in trio.nodes[1].lines[said:]), (
        job.told("not said")
    )


def test_called_off_while_the_job_works_for_criu(job: Moving, trio: Trio) -> None:
    """The target goes while criu lets the job make a system call: criu is not killed, the job runs on."""
    fault = Fault("before begin freeze", "criu", arg=f"{trio.criu} dump ptrace 25 delay_enter=1500000")
    fault.arm(trio.nodes[1].fault)
    asked = job.migrate(2)
    [(_node, _state, pid)] = job.copies()
    until(lambda: "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text())
    trio.nodes[2].kill()
    trio.nodes[2].start()
    _out, error = asked.communicate(timeout=PATIENCE)
    assert b"node 2 node2" in error, error
    job.settle(1, 0)
    job.finish(1, 0)


def test_a_node_with_another_key(job: Moving, trio: Trio) -> None:
    """It cannot be reached as one of the cluster: 502, and nothing is done to the job."""
    third = trio.nodes[3]
    key = trio.home / "key"
    right = key.read_bytes()
    third.kill()
    key.write_bytes(base64.b64encode(os.urandom(32)) + b"\n")
    try:
        third.start()
        row = job.row()
        assert row is not None
        code, text = ask(trio.nodes[1], f"migrate {row['pid']} 3")
        assert code == 502, text
        assert job.is_settled(1, 0) == ""
    finally:
        third.end()
        key.write_bytes(right)
        third.start()
        trio.wait_until_up()
    job.finish(1, 0)


def test_a_target_that_is_away_for_long(job: Moving, trio: Trio) -> None:
    """Decided, and the target is gone: the job is stopped and not lost; a signal waits and arrives."""
    target = trio.nodes[2]
    Fault("before send go", "kill", target.process.pid).arm(trio.nodes[1].fault)
    asked = job.migrate(2)
    until(lambda: faulty.fired(trio.nodes[1].fault).exists())
    target.wait()
    time.sleep(4)
    until(lambda: [node for node, state, _pid in job.copies() if state == "T" and node == 1])
    row = job.row()
    assert row is not None
    assert row["state"] == "running"
    code, text = ask(trio.nodes[1], f"migrate {row['pid']} 3")
    assert code == 409, text
    assert gom(trio.nodes[1], "kill", str(job.number)).returncode == 0
    assert job.caller.poll() is None
    target.start()
    assert asked.wait(PATIENCE) == 0
    assert job.caller.wait(PATIENCE) == 143  # it ran there, and got its SIGTERM
    row = until(lambda: (row := job.row()) and row["state"] == "done" and row)
    assert (row["node"], row["nmigs"], row["exit"]) == (2, 1, 143)
    job.gone()
    trio.wait_until_up()


def test_two_at_once(job: Moving, trio: Trio) -> None:
    """Of two who ask for the same job at the same time one is told 409, and it moves once."""
    row = job.row()
    assert row is not None
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, trio.nodes[1], f"migrate {row['pid']} {node}") for node in (2, 3)]
        codes = [each.result()[0] for each in asked]
    assert sorted(codes) == [200, 409]
    at = (2, 3)[codes.index(200)]
    job.settle(at, 1)
    job.finish(at, 1)


@pytest.mark.parametrize(
    ("step", "at", "there"),
    [("after write asking", 1, False), ("before act freeze", 1, False), ("before send images", 1, True)],
)
def test_it_ends_meanwhile(job: Moving, trio: Trio, step: str, at: int, there: bool) -> None:
    """
    A job that ends while it is asked for has ended, and nothing of it is left.

    One that somebody kills behind gomd's back when it is frozen goes on at the target: all of it is there.
    """
    [(_node, _state, pid)] = job.copies()
    inject(trio, job, 1, 2, at, Fault(step, "kill", pid))
    if there:
        job.settle(2, 1)
        job.finish(2, 1)
    else:
        assert job.caller.wait(PATIENCE) == 137
        job.gone()
        row = job.row()
        assert row is not None
        assert (row["node"], row["state"], row["exit"]) == (1, "done", 137)
    for daemon in trio.nodes.values():
        until(lambda daemon=daemon: tracked(daemon) == 0)  # type: ignore[misc]


def tracked(daemon: Daemon) -> int:
    """How many jobs a daemon looks after."""
    with daemon.connect_unix() as line:
        line.ask("format json")
        [row] = [row for row in line.ask("stats").rows if row["name"] == "jobs_held"]
        return int(row["value"])


@pytest.mark.parametrize(
    ("step", "at"),
    [("before act freeze", 1), ("before send images", 1), ("before heard go", 2), ("before act end", 1)],
)
def test_its_caller_goes_meanwhile(job: Moving, trio: Trio, step: str, at: int) -> None:
    """A job whose `gom run` is killed while it moves ends with it, wherever it is, and nothing is left."""
    inject(trio, job, 1, 2, at, Fault(step, "kill", job.caller.pid))
    row = until(lambda: (row := job.row()) and row["state"] == "done" and row)
    assert row["exit"] in (129, STATUS)  # SIGHUP, or the end of its input
    job.gone()


@pytest.mark.parametrize(
    ("source", "target", "step", "at", "victim", "moves"),
    [
        (2, 1, "", 0, 0, True),
        (2, 1, "after write holding", 1, 1, False),
        (2, 1, "after write decided", 2, 2, True),
        (2, 1, "after act restore", 1, 1, False),
        (1, 2, "after write decided", 1, 1, True),
    ],
)
def test_a_detached_job(
    trio: Trio, source: int, target: int, step: str, at: int, victim: int, moves: bool
) -> None:
    """Its output is kept at home, whole, wherever it ran and whoever was killed."""
    home = trio.nodes[1]
    script = "import time\nfor n in range(200):\n print('line', n, flush=True)\n time.sleep(0.015)\n"
    words = ("/usr/bin/python3", "-I", "-S", "-c", script)
    number = int(gom(home, "run", "--detach", "-n", str(source), *words).stdout)
    row = next(row for row in jobs(home) if row["job"] == number)
    if step:
        Fault(step, "kill").arm(trio.nodes[at].fault)
    request = f"migrate {row['pid']} {target}"
    if step:
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask, home, request)
            assert trio.nodes[victim].wait() == -9
            time.sleep(1)
            trio.nodes[victim].start()
            with suppress(Exception):
                asked.result(PATIENCE)
    else:
        assert ask(home, request)[0] == 200
    until(lambda: next(row for row in jobs(home) if row["job"] == number)["state"] == "done")
    row = next(row for row in jobs(home) if row["job"] == number)
    assert (row["node"], row["nmigs"], row["exit"]) == ((target, 1, 0) if moves else (source, 0, 0))
    shown = gom(home, "attach", str(number))
    assert shown.stdout == b"".join(b"line %d\n" % n for n in range(200))
    until(lambda: not trio.supervisors())
    assert [path for daemon in trio.nodes.values() for path in daemon.left()] == []
