"""A cluster in the middle of an upgrade: the version before and this one, with one key and running jobs."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from libgomd.keys import new_key_file
from tests.integration.cluster_of import nodes_up
from tests.integration.daemon import Daemon
from tests.integration.jobs import free_port, gom, jobs, until

ROOT = Path(__file__).parents[2]
#: The version before, as a commit: after a release, that of the last but one.
BEFORE = "765569c8293f19bdf33c8383bb928c4c6a8948f5"
PACKAGES = ("gom", "gomd", "libgomd", "twisted")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the code of the version before, from the history of the checkout."""
    done = subprocess.run(
        ["git", "archive", BEFORE, *PACKAGES],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"this checkout has no history with {BEFORE[:7]}, the version before")
    where = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(where)
    return where


class Upgradable(Daemon):
    """A daemon of the version in ``code``, of this one when that is None."""

    code: Path | None = None

    def command(self) -> Sequence[str]:
        """The version before comes first in the path of Python."""
        return super().command() if self.code is None else (*_of(self.code), *super().command())


#: The command of the version before, which has no gomrun to be kept from.
OLD_GOM = (sys.executable, "-c", "import sys; from gom.command import run; sys.exit(run())")


def _of(code: Path) -> tuple[str, str]:
    return "env", f"PYTHONPATH={code}"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, before: Path) -> Iterator[list[Upgradable]]:
    """Node 1 of the version before, node 2 of this one; they know each other."""
    home = tmp_path_factory.mktemp("cluster")
    home.chmod(0o755)
    new_key_file(str(home / "key"))
    ports = [free_port(), free_port()]
    seeds = ", ".join(f"127.0.0.1:{port}" for port in ports)
    daemons = [
        Upgradable(
            home / f"node{number}", "--node-id", str(number), "--name", f"node{number}",
            "--key-file", str(home / "key"), "--set", f"peers.port={port}", "--set", f"peers.seeds={seeds}",
        )
        for number, port in enumerate(ports, 1)
    ]  # fmt: skip
    daemons[0].code = before
    try:
        for daemon in daemons:
            daemon.start()
        for daemon in daemons:
            until(lambda daemon=daemon: nodes_up(daemon) == 2)  # type: ignore[misc]
        yield daemons
    finally:
        for daemon in daemons:
            daemon.end()


@pytest.mark.parametrize(("own", "other"), [(1, 2), (2, 1)])
def test_they_answer_each_other(both: list[Upgradable], before: Path, own: int, other: int) -> None:
    """nodes, load, ps, get and @all from either side; what only one knows is refused in a sentence."""
    daemon = both[own - 1]
    assert gom(daemon, f"@{other}", "load").stdout.strip().isdigit()
    assert gom(daemon, f"@{other}", "ps", "1").stdout.count(b"\n") == 2
    assert gom(daemon, f"@{other}", "get", "/proc/loadavg").stdout
    assert [line[:2] for line in gom(daemon, "@all", "load").stdout.splitlines()] == [b"1:", b"2:"]
    unknown = gom(daemon, f"@{other}" if own == 2 else "@1", "busiest")
    assert (unknown.returncode, unknown.stdout) == (1, b"")
    assert b"there is no verb busiest" in unknown.stderr
    # the command of either version, with the daemon of the other one
    older = gom(both[1], "nodes", program=(*_of(before), *OLD_GOM))
    assert older.stdout.count(b" up ") == 2, older
    assert gom(both[0], "nodes").stdout.count(b" up ") == 2


@pytest.mark.parametrize(("own", "other"), [(1, 2), (2, 1)])
def test_they_run_each_other_s_jobs(both: list[Upgradable], own: int, other: int) -> None:
    """With every byte, the input and the exit status."""
    words = ("run", "-n", f"node{other}", "sh", "-c", "cat; head -c 300000 /dev/zero; exit 4")
    done = gom(both[own - 1], *words, stdin=b"typed")
    assert (done.returncode, done.stdout, done.stderr) == (4, b"typed" + bytes(300_000), b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root moves processes")
@pytest.mark.parametrize(("own", "other"), [(1, 2), (2, 1)])
def test_a_move_is_made_or_refused_in_a_sentence(both: list[Upgradable], own: int, other: int) -> None:
    """Whatever comes of it, the job runs on, once."""
    daemon = both[own - 1]
    number = int(gom(daemon, "run", "-n", f"node{own}", "--detach", "sleep", "321").stdout)
    [row] = [row for row in jobs(daemon) if row["job"] == number]
    moved = gom(daemon, "migrate", str(row["pid"]), f"node{other}")
    if moved.returncode:
        assert moved.stderr.startswith(b"gom: ")
        assert moved.stderr.count(b"\n") == 1
    until(lambda: [row["state"] for row in jobs(daemon) if row["job"] == number] == ["running"])
    [row] = [row for row in jobs(daemon) if row["job"] == number]
    assert row["node"] == (own if moved.returncode else other)
    assert gom(daemon, "kill", str(number)).returncode == 0
    until(lambda: [row["state"] for row in jobs(daemon) if row["job"] == number] == ["done"])


def test_a_node_is_upgraded_while_jobs_run(both: list[Upgradable]) -> None:
    """Its own job, one of it elsewhere, and a guest go on; the key is the same, and all is known."""
    old, new = both
    for daemon, node in ((old, 1), (old, 2), (new, 1)):
        gom(daemon, "run", "-n", f"node{node}", "--detach", "sleep", "300")
    before = [sorted((row["job"], row["pid"], row["node"]) for row in running(each)) for each in both]
    assert [len(each) for each in before] == [2, 1]
    old.stop()
    old.code = None
    old.start()
    until(lambda: nodes_up(new) == 2 and nodes_up(old) == 2)
    for daemon, rows in zip(both, before, strict=True):
        until(lambda daemon=daemon, rows=rows: rows == sorted(
            (row["job"], row["pid"], row["node"]) for row in running(daemon)
        ))  # type: ignore[misc]  # fmt: skip
    assert gom(new, "@1", "busiest").returncode == 0
    for daemon, rows in zip(both, before, strict=True):
        for number, _pid, _node in rows:
            assert gom(daemon, "kill", str(number)).returncode == 0
        until(lambda daemon=daemon: not running(daemon))  # type: ignore[misc]


def running(daemon: Daemon) -> list[dict[str, object]]:
    """The jobs of the daemon that run."""
    return [row for row in jobs(daemon) if row["state"] == "running"]
