"""
What befalls a job whose memory is being sent ahead: until it is stopped, it runs on as if nothing had been.

Root and criu are needed.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.integration import faulty
from tests.integration.faulty import Fault
from tests.integration.jobs import until
from tests.integration.moving_trio import Moving, Trio, inject
from tests.integration.test_criu import find_criu

#: Bytes of memory that the job has, and of the disk that node 2 has for images.
SIZE = 40 << 20
ROOM = 220 << 20
#: Seconds for which the target waits after somebody was killed, so that the source sees that first.
_FIRST = 1.0
#: The first is seen from the other side by the last: `make faults` has both.
STEPS = ["before precopied", *(["before precopy"] if os.environ.get("GOMD_ALL_FAULTS") else [])]


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    """Three daemons; the second has its spool on a small disk, and the third sends nothing ahead."""
    criu = find_criu()
    home = tmp_path_factory.mktemp("trio")
    disk = home / "disk"
    disk.mkdir()
    more: dict[int, Sequence[str]] = {
        2: ("--set", f"jobs.spool={disk}/spool"),
        3: ("--set", "jobs.precopy_from=0"),
    }
    made = Trio(home, 8, criu, more)
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
    """A job on node 1 with some memory."""
    made = Moving(trio, 1, SIZE)
    until(lambda: _memory(made) >= SIZE)
    yield made
    made.close()
    for daemon in trio.nodes.values():
        daemon.fault.unlink(missing_ok=True)
        (daemon.spool / "filler").unlink(missing_ok=True)


def _memory(job: Moving) -> int:
    """Return how many bytes of memory the job has touched."""
    [(_node, _state, pid)] = job.copies() or [(0, "", 0)]
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    except OSError:
        return 0


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("what", ["source", "target", "disk", "full"])
def test_it_runs_on(job: Moving, trio: Trio, step: str, what: str) -> None:
    """Either daemon is killed, the disk fails, or is full: the job stays, and moves when asked again."""
    if what in ("source", "target"):
        victim = 1 if what == "source" else 2
        pid = trio.nodes[victim].process.pid
        inject(trio, job, 1, 2, 2, Fault(step, "kill", pid, seconds=_FIRST), victim)
    elif what == "disk":
        told = inject(trio, job, 1, 2, 2, Fault(step, "break"))
        assert "broken on purpose" in told, told
    else:
        told = inject(trio, job, 1, 2, 2, Fault(step, "fill", arg=str(trio.nodes[2].spool)))
        assert "no space is left" in told or "No space left" in told, told
        (trio.nodes[2].spool / "filler").unlink()
    job.settle(1, 0)
    asked = job.migrate(2)
    assert asked.wait(60) == 0, asked.stderr
    job.settle(2, 1)
    job.finish(2, 1)


def test_it_is_stopped_only_when_its_memory_is_there(job: Moving, trio: Trio) -> None:
    """While the target keeps the source waiting, the job answers as ever; it ends as ever, too."""
    fault = Fault("before precopied", "kill", trio.nodes[3].process.pid, seconds=3.0)
    fault.arm(trio.nodes[2].fault)
    asked = job.migrate(2)
    until(lambda: faulty.fired(trio.nodes[2].fault).exists())
    before = job._lines
    until(lambda: job._lines > before + 50)
    assert [(node, state in "RSD") for node, state, _pid in job.copies()] == [(1, True)]
    job.finish(1, 0)
    assert asked.wait(60) != 0
    trio.nodes[3].wait()
    trio.nodes[3].start()
    trio.wait_until_up()


def test_a_disk_with_room_for_the_job_only(job: Moving, trio: Trio) -> None:
    """It goes when it is stopped, as one from a node that sends nothing ahead does."""
    spool = trio.nodes[2].spool
    spool.mkdir(exist_ok=True)
    with (spool / "filler").open("wb") as file:
        free = os.statvfs(spool)
        file.write(bytes(free.f_bavail * free.f_frsize - 2 * SIZE))
    asked = job.migrate(2)
    assert asked.wait(60) == 0, asked.communicate()
    (spool / "filler").unlink()
    job.settle(2, 1)
    for at, times in ((3, 2), (2, 3)):
        assert job.migrate(at).wait(60) == 0
        job.settle(at, times)
    job.finish(2, 3)
