"""A start with ten thousand jobs in the table, damaged directories among them: nothing fails for one job."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from gomd.jobs.home.checksummed_lines import encode
from tests.integration.conftest import StartDaemon

COUNT = 10_000
#: Seconds of processor time from the start of the process until it listens. A start without jobs takes one.
LIMIT = 5.0


def _processor_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _entry(number: int, home: int) -> bytes:
    return encode(number, {
        "job": number, "home": home, "node": home, "pid": 100_000 + number, "user": "root",
        "state": "running", "exit": None, "command": f"sleep {number}", "uid": 0, "started": 1e9,
        "detached": number % 2 == 0, "pid_there": 100_000 + number,
    })  # fmt: skip


def test_ten_thousand_jobs_that_were_lost_with_the_machine(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """All are lost, and said to be; the directories go; what cannot be understood stays and is said."""
    state = tmp_path / "daemon0" / "state"
    jobs = state / "jobs"
    spool = tmp_path / "spool"
    for directory in (state, jobs, spool):
        directory.mkdir(parents=True, mode=0o700)
    home = 7
    jobs.joinpath("journal").write_bytes(b"".join(_entry(number, home) for number in range(1, COUNT + 1)))
    for number in range(1, COUNT + 1, 5):
        spool.joinpath(f"{home}-{number}").mkdir()
        spool.joinpath(f"{home}-{number}", "stdout.0").write_bytes(b"so far\n")
    spool.joinpath(f"{home}-6", "exit").write_text('{"exit": 3, "reason": ""}')
    spool.joinpath(f"{home}-11", "exit").write_text('{"exit": "thr')
    spool.joinpath(f"{home}-16", "exit").mkdir()
    spool.joinpath(f"{home}-21", "socket").write_bytes(b"no socket")
    for name in ("9-1", "²-³", "7-0", "x", "9-2"):
        spool.joinpath(name).mkdir()
    spool.joinpath("9-2", "job").write_text(json.dumps({"uid": "odd", "nmigs": [1]}))
    spool.joinpath("9-3").write_bytes(b"a file")
    jobs.joinpath("migrations").mkdir(mode=0o700)
    jobs.joinpath("migrations", "7-1-1-ab.source").mkdir()
    daemon = start_daemon("--node-id", str(home), "--set", f"jobs.spool={spool}")
    took = _processor_seconds(daemon.process.pid)
    assert took < LIMIT
    with daemon.connect_unix() as line:
        assert line.ask("format json").code == 200
        rows = {row["job"]: row for row in line.ask("jobs").rows}
        assert {row["state"] for row in rows.values()} <= {"lost", "done"}
        assert len(rows) == 500
    end = time.monotonic() + 30.0
    while time.monotonic() < end and sum(1 for name in os.listdir(spool) if name.startswith("7-")) > 300:
        time.sleep(0.2)
    left = set(os.listdir(spool))
    assert sum(1 for name in left if name.startswith("7-")) <= 300
    assert {"²-³", "7-0", "x"} <= left
    assert "Unhandled" not in daemon.log
    assert "Traceback" not in daemon.log
    assert daemon.stop() == -signal.SIGTERM
