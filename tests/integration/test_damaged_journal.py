"""A journal in which bits flipped: what they were of is said and set aside, no job becomes another one."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from tests.integration.conftest import StartDaemon
from tests.integration.daemon import Daemon
from tests.integration.jobs import gom, job, jobs, until


def _damage(daemon: Daemon, number: int, old: bytes, new: bytes) -> None:
    """Change the newest line of a job."""
    path = Path(daemon.state, "jobs", "journal")
    lines = path.read_bytes().split(b"\n")
    at = max(at for at, line in enumerate(lines) if re.match(rb"\x1e%d~" % number, line))
    assert old in lines[at]
    lines[at] = lines[at].replace(old, new, 1)
    path.write_bytes(b"\n".join(lines))


def test_a_job_that_runs_is_known_by_its_directory(start_daemon: StartDaemon) -> None:
    """Its line is damaged: it is said, the job keeps its number and its owner, the next gets another one."""
    daemon = start_daemon()
    assert gom(daemon, "run", "--detach", "sleep", "600").returncode == 0
    before = job(daemon, 1)
    assert gom(daemon, "run", "sh", "-c", "exit 3").returncode == 3
    assert daemon.stop() == -signal.SIGTERM
    _damage(daemon, 1, b'"uid":0', b'"uid":1')
    _damage(daemon, 2, b'"exit":3', b'"exit":1')
    start = len(daemon.lines)
    daemon.start()
    daemon.wait_for(r"line \d+ of .*journal is damaged", start)
    after = job(daemon, 1)
    assert after == before
    assert [row["job"] for row in jobs(daemon)] == [1]
    assert b'"uid":1' in Path(daemon.state, "jobs", "journal.bad").read_bytes()
    assert gom(daemon, "run", "true").returncode == 0
    assert [row["job"] for row in jobs(daemon)] == [1, 3]
    with daemon.connect_unix() as line:
        reply = line.ask("attach 2")
        assert reply.code == 404
        assert "damaged" in reply.text
    assert gom(daemon, "kill", "1", "KILL").returncode == 0
    until(lambda: job(daemon, 1)["exit"] == 137)
    assert daemon.stop() == -signal.SIGTERM
    daemon.start()
    assert gom(daemon, "run", "true").returncode == 0
    assert [row["job"] for row in jobs(daemon)] == [1, 3, 4]


def test_the_journal_of_the_version_before_is_taken_over(start_daemon: StartDaemon) -> None:
    """Without checksums: jobs that ran on are found, the numbers go on."""
    daemon = start_daemon()
    assert gom(daemon, "run", "--detach", "sleep", "600").returncode == 0
    before = job(daemon, 1)
    assert daemon.stop() == -signal.SIGTERM
    path = Path(daemon.state, "jobs", "journal")
    path.write_bytes(re.sub(rb"\x1e\d+~\w+ \w+ ", b"", path.read_bytes()))
    assert path.read_bytes().startswith(b"[1,{")
    daemon.start()
    assert job(daemon, 1) == before
    assert "damaged" not in daemon.log
    assert gom(daemon, "kill", "1", "KILL").returncode == 0
    until(lambda: job(daemon, 1)["exit"] == 137)
