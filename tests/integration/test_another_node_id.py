"""A daemon that comes back under another node id beside jobs that it began under the old one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.daemon import Daemon
from tests.integration.jobs import gom, job

OTHER = "was begun when this node was node 7: start gomd with [node] id = 7 to reach it"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path / "home", ini="[node]\nid = 7\n[history]\nkind = none\n") as started:
        yield started


def restart_as(daemon: Daemon, node_id: int) -> None:
    """Stop it, and start it with another node id."""
    daemon.stop()
    daemon.configure(f"[node]\nid = {node_id}\n[history]\nkind = none\n")
    daemon.start()


def test_a_job_of_the_old_id_is_refused_in_a_sentence_and_goes_on(daemon: Daemon) -> None:
    """It says which id reaches the job; under that id the job is there as before, with its output."""
    begun = gom(daemon, "run", "--detach", "sh", "-c", "echo began; exec sleep 600")
    assert begun.returncode == 0, begun.stderr
    number = begun.stdout.decode().strip()
    restart_as(daemon, 8)
    try:
        refused = gom(daemon, "attach", number)
        assert refused.returncode == 1, refused
        assert OTHER in refused.stderr.decode()
        assert "Traceback" not in daemon.log
        assert gom(daemon, "run", "echo", "a new one").stdout == b"a new one\n"
    finally:
        restart_as(daemon, 7)
        killed = gom(daemon, "signal", str(job(daemon, int(number))["pid"]), "kill")
    assert killed.returncode == 0, killed
    attached = gom(daemon, "attach", number)
    assert (attached.returncode, attached.stdout) == (128 + 9, b"began\n")
