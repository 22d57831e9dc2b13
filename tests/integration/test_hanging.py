"""What the kernel never answers costs that thing's value and nothing else: a real dead mount."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE
from tests.integration.dead_mount import DeadMount, dead_mount
from tests.integration.line import Line

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a file system")
NOBODY = 65534


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[DeadMount]:
    """A file system that never answers."""
    tmp_path.chmod(0o755)
    directory = tmp_path / "dead"
    directory.mkdir()
    with dead_mount(str(directory)) as mounted:
        yield mounted


def _blocks(pid: int) -> bool:
    """Whether /proc/PID/stat blocks here: not every kernel does that."""
    back = threading.Event()

    def read() -> None:
        Path(f"/proc/{pid}/stat").read_bytes()
        back.set()

    threading.Thread(target=read, daemon=True).start()
    return not back.wait(0.5)


def _row(line: Line, pid: int) -> dict[str, object]:
    """Return the row of a process as `ps` shows it, once there is one."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = [row for row in line.ask("ps").rows if row["pid"] == pid]
        if found and found[0]["stuck"]:
            return found[0]
        time.sleep(0.1)
    raise AssertionError(f"process {pid} is never shown as stuck")


def test_an_exec_that_hangs_is_shown_and_the_others_go_on(
    start_daemon: StartDaemon, mount: DeadMount, tmp_path: Path
) -> None:
    """`ps` shows it marked, shows new processes, and says once in the log which one hangs."""
    daemon = start_daemon("--set", "collector.processes_period=1")
    line = daemon.connect_unix()
    assert line.ask("format json").code == 200
    pid = mount.hang(NOBODY)
    if not _blocks(pid):
        pytest.fail("this kernel does not block: the test needs another way to make it hang")
    row = _row(line, pid)
    assert (row["uid"], row["ppid"] != 0, row["state"] in ("S", "D")) == (NOBODY, True, True)
    before = {row["pid"] for row in line.ask("ps").rows}
    later = mount.hang(0)
    assert _row(line, later)["uid"] == 0
    assert os.getpid() in before
    assert line.ask(f"ps {pid}").rows[0]["stuck"] is True
    asked = time.monotonic()
    assert line.ask(f"get /proc/{pid}/stat").code == 504
    assert time.monotonic() - asked < 2.0
    assert line.ask(f"get /proc/{pid}/status").code == 200
    assert line.ask("format text").code == 200
    [text] = [text for text in line.ask("ps").block or () if f" {pid} " in text]
    assert "!" in text
    assert len([text for text in daemon.lines if f"process {pid} " in text and "hangs" in text]) == 1
    assert line.ask(f"signal {pid} KILL").code == 200
    mount.answer()
    daemon.wait_for(f"process {later} answers again")
    line.close()


def test_many_that_hang_take_a_few_threads(start_daemon: StartDaemon, mount: DeadMount) -> None:
    """A user with twenty of them has all their processes shown from outside; the rest is as fresh as ever."""
    daemon = start_daemon("--set", "collector.processes_period=1")
    pids = [mount.hang(NOBODY) for _ in range(20)]
    line = daemon.connect_unix()
    assert line.ask("format json").code == 200
    for pid in pids:
        _row(line, pid)
    threads = len(os.listdir(f"/proc/{daemon.process.pid}/task"))
    for _ in range(4):
        rows = {row["pid"]: row for row in line.ask("ps").rows}
        assert all(rows[pid]["stuck"] for pid in pids)
        own = rows[os.getpid()]
        assert (own["stuck"], own["age"]) == (False, None)
        time.sleep(1.1)
    assert len(os.listdir(f"/proc/{daemon.process.pid}/task")) <= threads + 4
    line.close()


def test_who_asks_for_what_hangs_keeps_nobody_waiting(start_daemon: StartDaemon, mount: DeadMount) -> None:
    """Forty `get` of a file that blocks, before a scan has found it: everybody else is answered at once."""
    daemon = start_daemon("--set", "collector.processes_period=3600")
    pid = mount.hang(NOBODY)
    askers = [daemon.connect() for _ in range(40)]
    for asker in askers:
        asker.send(f"get /proc/{pid}/stat\r\n".encode())
    with daemon.connect() as line:
        for path in (f"/proc/{os.getpid()}/stat", "/proc/loadavg", f"/proc/{os.getpid()}/status"):
            asked = time.monotonic()
            assert line.ask(f"get {path}").code == 201
            assert time.monotonic() - asked < 3.0
    for asker in askers:
        assert asker.line().startswith("504 ")
        asker.close()
    with daemon.connect() as line:
        asked = time.monotonic()
        assert line.ask(f"get /proc/{pid}/stat").code == 504
        assert time.monotonic() - asked < 3.0
