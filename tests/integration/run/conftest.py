"""A daemon, whose jobs are ended after the test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.conftest import StartDaemon
from tests.integration.daemon import Daemon
from tests.integration.jobs import gom, jobs, until


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Iterator[Daemon]:
    """A daemon, whose jobs are ended after the test."""
    started = start_daemon()
    yield started
    if started.process.poll() is None:
        for row in jobs(started):
            if row["state"] == "running":
                gom(started, "kill", str(row["job"]), "KILL")
        until(lambda: all(row["state"] != "running" for row in jobs(started)))
        until(lambda: not _supervisors(started))  # one that has not been heard would wait for a next daemon


def _supervisors(daemon: Daemon) -> list[int]:
    """Return the supervisors of the daemon's jobs that still run."""
    pids = []
    for file in (daemon.state / "spool").glob("*/job"):
        with suppress(FileNotFoundError):  # it was removed meanwhile
            pids.append(json.loads(file.read_text()).get("supervisor"))
    return [pid for pid in pids if pid and Path(f"/proc/{pid}").exists()]
