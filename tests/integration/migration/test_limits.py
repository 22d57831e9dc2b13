"""A job with a limit of memory has it wherever it goes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gomd.jobs.supervisor.cgroups import find_place
from tests.integration.daemon import PATIENCE
from tests.integration.hosts import Host
from tests.integration.jobs import until
from tests.integration.migration.moving import Job

_PLACE = find_place()
pytestmark = pytest.mark.skipif(bool(_PLACE.why_not), reason=f"no limits of memory: {_PLACE.why_not}")
_GREEDY = "print('up', flush=True); input(); x = bytearray(256 << 20); print('had it')"


def _cgroup(job: Job, host: Host) -> Path:
    """Return the cgroup of a job where it runs. Other tests may have jobs of the same number meanwhile."""
    text = host.run("cat", f"/proc/{job.row()['pid_there']}/cgroup")
    found = re.search(rf"/(1-{job.number}\.[0-9a-f]+)$", text, re.MULTILINE)
    assert found, text
    return Path(_PLACE.parent, found[1])


def _held(cgroup: Path) -> int:
    """Return the bytes of memory that the kernel counts for the limit of a job."""
    found = re.search(r"^(?:anon|total_rss) (\d+)$", (cgroup / "memory.stat").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


@pytest.mark.parametrize("target", ["2", "home"])
def test_the_limit_goes_along(three: list[Host], target: str) -> None:
    """On another node, and at home again, it is ended by the kernel when it takes more."""
    job = Job(three[0], "-n", "1", "--mem-max", "100M", "python3", "-c", _GREEDY)
    until(lambda: job.out == b"up\n", PATIENCE)
    before = _cgroup(job, three[0])
    held = _held(before)
    job.move("2")
    if target == "home":
        job.move("home")
    now = _cgroup(job, three[1] if target == "2" else three[0])
    until(lambda: not before.exists(), PATIENCE)  # that of where it was is gone
    assert _held(now) < held + (1 << 20), "the move itself has taken a part of what the job may use"
    assert job.row()["memory_max"] == 100 << 20
    job.write(b"go\n")
    assert job.wait() == 137
    assert job.out == b"up\n"
    assert b"--mem-max" in job.err
    until(lambda: not now.exists())
