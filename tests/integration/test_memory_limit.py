"""`gom run --mem-max`: what the kernel does to a job that wants more, and machines that cannot limit one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gomd.jobs.supervisor.cgroups import MEMORY, find_place, parse_mounts
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import Daemon
from tests.integration.hosts import children_of
from tests.integration.jobs import begin, gom, job, jobs, running, until

_PLACE = find_place()
limited = pytest.mark.skipif(bool(_PLACE.why_not), reason=f"no limits of memory here: {_PLACE.why_not}")
TAKE = "import sys; x = bytearray({} << 20); print(len(x) >> 20)"


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Iterator[Daemon]:
    """A daemon; its jobs are ended after the test."""
    started = start_daemon()
    yield started
    if started.process.poll() is None:
        for row in jobs(started):
            if row["state"] == "running":
                gom(started, "kill", str(row["job"]), "KILL")


def cgroup_of(pid: int) -> Path:
    """Return the directory of the cgroup that a job is in."""
    name = {"memory": "memory", "unified": ""}.get(_PLACE.kind, "")
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    [path] = [line.split(":", 2)[2] for line in lines if line.split(":", 2)[1] == name]
    return Path(_PLACE.parent) / Path(path).name


@limited
def test_a_job_that_takes_more_is_killed_and_told(daemon: Daemon) -> None:
    """128 + SIGKILL, and one sentence that says which limit it was; within it nothing happens."""
    done = gom(daemon, "run", "--mem-max", "64M", "python3", "-c", TAKE.format(16))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"16\n", b"")
    done = gom(daemon, "run", "--mem-max", "64M", "python3", "-c", TAKE.format(256))
    assert (done.returncode, done.stdout) == (137, b"")
    sentence = (
        "out of memory beyond its --mem-max of 67108864 bytes: a process of it was killed by the kernel"
    )
    assert done.stderr.decode() == f"gom: {sentence}\n"
    row = jobs(daemon)[-1]
    assert (row["reason"], row["memory_max"]) == (sentence, 64 << 20)
    with daemon.connect_unix() as line:
        line.ask("format json")
        assert any(sentence in row["reason"] for row in line.ask("events").rows)


@limited
def test_all_of_a_job_counts(daemon: Daemon) -> None:
    """Processes that each take less than the limit take more together; what is left of it goes on."""
    script = "python3 -c '{0}' & python3 -c '{0}' & wait; echo over".format(
        "x = bytearray(40 << 20); import time; time.sleep(2)"
    )
    done = gom(daemon, "run", "--mem-max", "64M", "sh", "-c", script)
    assert done.returncode == 0
    assert done.stdout == b"over\n"
    assert b"killed by the kernel" in done.stderr


@limited
def test_each_job_has_a_cgroup_that_goes_with_it(daemon: Daemon) -> None:
    """Without a limit too; two jobs have two; when they end both are removed."""
    places = []
    for _ in range(2):
        known = {row["job"] for row in jobs(daemon)}
        begin(daemon, "run", "--detach", "sleep", "1000").wait()
        row = until(lambda known=known: [each for each in jobs(daemon) if each["job"] not in known])[0]  # type: ignore[misc]
        places.append((row, cgroup_of(row["pid"])))
    assert places[0][1] != places[1][1]
    for row, place in places:
        assert str(row["pid"]) in (place / "cgroup.procs").read_text().split()
        gom(daemon, "kill", str(row["job"]))
        until(lambda place=place: not place.exists())  # type: ignore[misc]


@limited
def test_what_a_killed_supervisor_leaves_is_removed(daemon: Daemon) -> None:
    """At the next start at the latest."""
    started = begin(daemon, "run", "--mem-max", "64M", "sleep", "1000")
    row = running(daemon)
    place = cgroup_of(row["pid"])
    assert place.is_dir()
    daemon.kill()
    [supervisor] = [int(Path(f"/proc/{row['pid']}/stat").read_text().rpartition(") ")[2].split()[1])]
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{row['pid']}").exists())
    assert place.is_dir()
    daemon.start()
    until(lambda: not place.exists())
    assert job(daemon, row["job"])["state"] == "lost"
    started.kill()
    started.wait()


@pytest.mark.parametrize("words", [("1M",), ("0",), ("lots",), ("64M", "--mem", "128M")])
def test_a_limit_that_makes_no_sense(daemon: Daemon, words: Sequence[str]) -> None:
    """One sentence, and no job."""
    done = gom(daemon, "run", "--mem-max", *words, "true")
    assert done.returncode in (1, 2)
    assert b"--mem-max" in done.stderr
    assert jobs(daemon) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts can be taken away by root only")
def test_a_machine_without_a_memory_controller(tmp_path: Path) -> None:
    """`--mem-max` is refused in one sentence before anything starts; other jobs run as ever."""

    class Without(Daemon):
        def command(self) -> Sequence[str]:
            script = 'while umount -l /sys/fs/cgroup 2>/dev/null; do :; done; exec "$@"'
            return ("unshare", "--mount", "--", "sh", "-c", script, "sh", *super().command())

    mark = tmp_path / "mark"
    with Without(tmp_path / "home") as daemon:
        done = gom(daemon, "run", "--mem-max", "64M", "touch", str(mark))
        assert done.returncode == 1
        assert done.stderr.count(b"\n") == 1
        assert b"memory controller" in done.stderr
        assert not mark.exists()
        assert jobs(daemon) == []
        assert gom(daemon, "run", "echo", "fine").stdout == b"fine\n"
        assert children_of(daemon.process.pid)


@pytest.mark.skipif(_PLACE.kind != MEMORY, reason="the unified hierarchy has the memory controller here")
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts can be taken away by root only")
def test_without_a_memory_controller_jobs_are_kept_apart(tmp_path: Path) -> None:
    """Each has a cgroup of the unified hierarchy, where that is mounted; it goes with the job."""
    unified, memory = parse_mounts(Path("/proc/self/mountinfo").read_text())
    assert memory is not None
    mounted = memory.mounted
    if unified is None:
        pytest.skip("no unified hierarchy is mounted here")

    class Without(Daemon):
        def command(self) -> Sequence[str]:
            script = f'umount -l {mounted} && exec "$@"'
            return ("unshare", "--mount", "--", "sh", "-c", script, "sh", *super().command())

    with Without(tmp_path / "home") as daemon:
        told = gom(daemon, "run", "cat", "/proc/self/cgroup").stdout.decode().splitlines()
        [path] = [line.split(":", 2)[2] for line in told if line.startswith("0::")]
        name = f"{jobs(daemon)[-1]['home']}-{jobs(daemon)[-1]['job']}."
        assert Path(path).name.startswith(name)
        assert not Path(unified.mounted + path).exists()
        assert b"--mem-max" in gom(daemon, "run", "--mem-max", "64M", "true").stderr
