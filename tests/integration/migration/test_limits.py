"""A job with a limit of memory has it wherever it goes."""

from __future__ import annotations

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


def _cgroups(number: int) -> set[str]:
    return {each.name for each in Path(_PLACE.parent).glob(f"1-{number}.*")}


@pytest.mark.parametrize("target", ["2", "home"])
def test_the_limit_goes_along(three: list[Host], target: str) -> None:
    """On another node, and at home again, it is ended by the kernel when it takes more."""
    job = Job(three[0], "-n", "1", "--mem-max", "100M", "python3", "-c", _GREEDY)
    until(lambda: job.out == b"up\n", PATIENCE)
    before = _cgroups(job.number)
    assert len(before) == 1
    job.move("2")
    if target == "home":
        job.move("home")
    until(lambda: len(_cgroups(job.number)) == 1, PATIENCE)  # that of where it was is gone
    assert _cgroups(job.number) != before
    assert job.row()["memory_max"] == 100 << 20
    job.write(b"go\n")
    assert job.wait() == 137
    assert job.out == b"up\n"
    assert b"--mem-max" in job.err
    until(lambda: not _cgroups(job.number))
