"""A job that has moved to a node can see and do there no more than one that was started there."""

from __future__ import annotations

import json
import os
import resource
from typing import Any

from tests.integration.daemon import PATIENCE
from tests.integration.hosts import Host
from tests.integration.jobs import until
from tests.integration.migration.moving import Job
from tests.integration.surroundings import PROBE

#: What is the node's own, or another one for each process that looks.
_OWN = ("cgroup", "keyring", "autogroup", "umask")
_UNSET = "4294967295"


def test_a_moved_job_is_as_it_was(three: list[Host]) -> None:
    """Ids, rights, limits and priorities are the same; its keyring is its user's and empty."""
    script = f"exec({PROBE!r}, {{}})\nimport sys\nsys.stdout.flush()\ninput()\nexec({PROBE!r}, {{}})"
    job = Job(three[0], "-n", "1", "python3", "-c", script, user="nobody")
    until(lambda: job.out.endswith(b"\n"), PATIENCE)
    before: dict[str, Any] = json.loads(job.out)
    job.move("2")
    job.write(b"go on\n")
    assert job.wait() == 0, job.err
    after: dict[str, Any] = json.loads(job.out.splitlines()[1])
    for told in (before, after):
        assert told["keyring"].startswith("keyring;65534;"), told["keyring"]
        assert told["secret"] is False
        for name in _OWN:
            del told[name]
    if after["files"]["loginuid"] == _UNSET:  # criu has dumped it as its user: it is nobody's
        del before["files"]["loginuid"], after["files"]["loginuid"]
    assert after == before


def test_what_the_caller_brings_along_moves_with_the_job(three: list[Host]) -> None:
    """Nice value and resource limits are the caller's on the first node, and on the next one."""
    script = (
        "import os, resource\n"
        "for _ in '12':\n"
        "    found = resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE)\n"
        "    print(os.getpriority(0, 0), found, flush=True)\n"
        "    input()\n"
    )
    nice, files = os.getpriority(os.PRIO_PROCESS, 0), resource.getrlimit(resource.RLIMIT_NOFILE)
    core = resource.getrlimit(resource.RLIMIT_CORE)
    os.setpriority(os.PRIO_PROCESS, 0, nice + 3)
    resource.setrlimit(resource.RLIMIT_NOFILE, (700, files[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, core[1]))
    try:
        job = Job(three[0], "-n", "1", "python3", "-c", script, user="nobody")
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        resource.setrlimit(resource.RLIMIT_NOFILE, files)
        resource.setrlimit(resource.RLIMIT_CORE, core)
    until(lambda: job.out.endswith(b"\n"), PATIENCE)
    job.move("2")
    job.write(b"go on\ngo on\n")
    assert job.wait() == 0, job.err
    before, after = job.out.decode().splitlines()
    assert before.startswith(f"{nice + 3} ((700, ")
    assert ", (0, " in before
    assert after == before
