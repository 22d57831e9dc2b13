"""The output of detached jobs on a small disk: who has too much of it, and what is said."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.daemon import Daemon
from tests.integration.jobs import NOBODY, gom, job, jobs, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a small disk of its own takes root")

MB = 1 << 20
#: Bytes of the disk.
DISK = 32 * MB


class Small(Daemon):
    """A daemon whose spool is on a disk of 32 MB, which only it and its children see."""

    def command(self) -> Sequence[str]:
        spool = self.home / "spool"
        spool.mkdir(exist_ok=True)
        script = f'mount -t tmpfs -o size={DISK},mode=700 tmpfs "$1" && shift && exec "$@"'
        return (
            "unshare", "--mount", "--propagation", "private", "--", "sh", "-c", script, "sh", str(spool),
            *super().command(),
        )  # fmt: skip

    def inside(self, name: str = "") -> Path:
        """Return a path of the disk, as it is seen from here."""
        return Path(f"/proc/{self.process.pid}/root{self.home}/spool") / name


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody reaches."""
    place = Path(tempfile.mkdtemp(prefix="gomd-kept-", dir="/tmp"))
    place.chmod(0o711)
    yield place
    shutil.rmtree(place)


def ini(place: Path, **settings: int) -> str:
    """Return a [jobs] section with a spool on the small disk."""
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    return f"[jobs]\nspool = {place}/home/spool\n{lines}"


@contextmanager
def started(place: Path, **settings: int) -> Iterator[Small]:
    """A daemon whose socket everybody reaches; it leaves no job running."""
    daemon = Small(place / "home", ini=ini(place, **settings))
    with daemon:
        for each in (daemon.home, daemon.state):
            each.chmod(0o711)
        daemon.socket.chmod(0o666)
        try:
            yield daemon
        finally:
            for row in jobs(daemon):
                if row["state"] in ("starting", "running"):
                    gom(daemon, "kill", str(row["job"]), "KILL")
            until(lambda: all(row["state"] == "done" for row in jobs(daemon)))


def write(
    daemon: Daemon, megabytes: int, *, program: Sequence[str] = (), first: str = "true", then: str = "true"
) -> int:
    """Let a detached job write some megabytes; return its number once it has."""
    more = {"program": program} if program else {}
    script = f"{first}; head -c {megabytes * MB} /dev/zero; {then}"
    done = gom(daemon, "run", "--detach", "sh", "-c", script, cwd="/", **more)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    number = int(done.stdout)
    if then == "true":
        until(lambda: job(daemon, number)["state"] == "done")
    return number


def test_a_users_oldest_output_makes_room(place: Path) -> None:
    """What is kept of one user stays below the limit; root's is untouched; who attaches is told."""
    with started(place, output_per_user=4 * MB) as daemon:
        roots = write(daemon, 2)
        numbers = [write(daemon, 2, program=NOBODY) for _ in range(3)]
        last = write(daemon, 1, program=NOBODY)
        until(lambda: not daemon.inside(job_name(daemon, numbers[0])).exists())
        until(lambda: kept(daemon, [*numbers, last]) <= 4 * MB)
        assert kept(daemon, [roots]) == 2 * MB
        done = gom(daemon, "attach", str(numbers[0]))
        assert done.returncode == 1
        assert b"removed" in done.stderr
        assert gom(daemon, "attach", str(last)).stdout == bytes(MB)


def test_running_jobs_that_have_it_all(place: Path) -> None:
    """Their user starts no more detached ones; they go on and keep less; others and other jobs start."""
    with started(place, output_per_user=4 * MB, output=8 * MB) as daemon:
        gate = daemon.home / "gate"  # all of them have begun before any of them has written
        waits = f"until [ -e {gate} ]; do sleep 0.1; done"
        numbers = [write(daemon, 2, program=NOBODY, first=waits, then="sleep 1000") for _ in range(3)]
        gate.touch()

        def refusal() -> bytes:
            done = gom(daemon, "run", "--detach", "true", program=NOBODY, cwd="/")
            return done.stderr if done.returncode == 1 else b""

        refused = until(refusal)
        assert b" MB of output of your detached jobs are kept" in refused
        assert gom(daemon, "run", "echo", "fine", program=NOBODY, cwd="/").stdout == b"fine\n"
        assert gom(daemon, "run", "--detach", "true").returncode == 0
        until(lambda: kept(daemon, numbers) <= 4 * MB)  # a look later they keep less
        assert {job(daemon, number)["state"] for number in numbers} == {"running"}
        until(lambda: gom(daemon, "run", "--detach", "true", program=NOBODY, cwd="/").returncode == 0)


def test_a_disk_that_fills_up(place: Path) -> None:
    """Jobs go on, what they write is lost and told; no detached job starts; all else is as ever."""
    with started(place) as daemon:
        number = write(daemon, 1, then="sleep 3; head -c 3000000 /dev/zero; echo over >&2; exit 3")
        until(lambda: kept(daemon, [number]) >= MB)
        filler = daemon.inside("filler")
        with open(filler, "wb", buffering=0) as file:  # somebody else fills it, to the last page
            while True:
                try:
                    file.write(bytes(MB // 4))
                except OSError:
                    break
        began = time.monotonic()
        refused = gom(daemon, "run", "--detach", "true")
        assert refused.returncode == 1
        assert b"the disk of " in refused.stderr
        assert b"stay free" in refused.stderr
        assert gom(daemon, "run", "sh", "-c", "cat; exit 4", stdin=b"through").stdout == b"through"
        until(lambda: job(daemon, number)["state"] == "done")
        assert time.monotonic() - began < 20
        assert job(daemon, number)["exit"] == 3
        assert "bytes of output are lost: the disk is full" in job(daemon, number)["reason"]
        filler.unlink()
        until(lambda: gom(daemon, "run", "--detach", "true").returncode == 0)


def test_one_job_never_keeps_more_than_its_user_may(place: Path) -> None:
    """However much `[jobs] output` would let it keep."""
    with started(place, output_per_user=4 * MB, output=64 * MB) as daemon:
        number = write(daemon, 20)
        assert 0 < kept(daemon, [number]) <= 3 * MB


def test_jobs_themselves_leave_half_of_the_reserve(place: Path) -> None:
    """They cannot fill the disk to its end: what else is on it goes on being written."""
    with started(place, output_reserve=16 * MB) as daemon:
        write(daemon, 40)
        disk = os.statvfs(daemon.inside())
        assert disk.f_bavail * disk.f_frsize >= 7 * MB


def job_name(daemon: Daemon, number: int) -> str:
    """Return the name of the directory of a job."""
    return f"{job(daemon, number)['home']}-{number}"


def kept(daemon: Small, numbers: Sequence[int]) -> int:
    """Return the bytes that are kept of some jobs."""
    found = 0
    for number in numbers:
        directory = daemon.inside(job_name(daemon, number))
        for path in directory.glob("std*") if directory.exists() else ():
            try:
                found += path.stat().st_size
            except FileNotFoundError:
                continue
    return found
