"""
A slurm of one node for comparison: munged, slurmctld and slurmd on loopback, with all files in one directory.

It is set up to be quick: no accounting, no cgroups, no task plugin, no epilog. The system's own slurm, if one
runs here, is not touched: other ports, another key, another configuration.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.integration.jobs import free_port

PROGRAMS: Final = ("munged", "slurmctld", "slurmd", "srun")
#: Seconds until the first job has to have run, and for each try.
START_TIMEOUT: Final = 30.0
TRY_TIMEOUT: Final = 5.0
_PATH: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
#: From this version on slurm can be told to leave cgroups alone.
_CGROUPS_DISABLED: Final = (23, 2)


def missing() -> str:
    """Return the programs that are not installed."""
    return ", ".join(name for name in PROGRAMS if shutil.which(name, path=_PATH) is None)


@contextmanager
def slurm(directory: Path) -> Iterator[Mapping[str, str]]:
    """
    Run a slurm in a directory that exists; give what `srun` needs in its environment to use it.

    :raises RuntimeError: it ran no job within `START_TIMEOUT` seconds; the text says why.
    """
    munge, log = directory / "munge", directory / "munged.log"
    for name in ("state", "spool", "cgroup"):
        (directory / name).mkdir()
    key = directory / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    config = directory / "slurm.conf"
    config.write_text(_text(_settings(directory, munge)))
    (directory / "cgroup.conf").write_text(_text(_cgroups(directory)))
    # --force: the directory is nobody else's, which munged takes for a mistake.
    munged = (
        "munged", "--foreground", "--force", f"--socket={munge}", f"--key-file={key}", f"--log-file={log}",
        f"--pid-file={directory / 'munged.pid'}", f"--seed-file={directory / 'munged.seed'}",
    )  # fmt: skip
    environment = {**os.environ, "SLURM_CONF": str(config)}
    with ExitStack() as stack:
        for command in (munged, ("slurmctld", "-D"), ("slurmd", "-D", "-N", "localhost")):
            stack.enter_context(_daemon(command, environment, directory))
            if command is munged:
                _until(munge.exists, "munged makes no socket", directory)
        _until(lambda: _runs(environment), "slurm runs no job", directory)
        yield {"SLURM_CONF": str(config)}


def _settings(directory: Path, munge: Path) -> Mapping[str, object]:
    user = pwd.getpwuid(os.geteuid()).pw_name
    return {
        "ClusterName": "bench", "SlurmctldHost": "localhost(127.0.0.1)", "SlurmUser": user,
        "SlurmdUser": user, "SlurmctldPort": free_port(), "SlurmdPort": free_port(),
        "AuthType": "auth/munge", "CredType": "cred/munge", "AuthInfo": f"socket={munge}",
        "StateSaveLocation": directory / "state", "SlurmdSpoolDir": directory / "spool",
        "SlurmctldPidFile": directory / "slurmctld.pid", "SlurmdPidFile": directory / "slurmd.pid",
        "ProctrackType": "proctrack/pgid", "TaskPlugin": "task/none", "SelectType": "select/linear",
        "MpiDefault": "none", "SwitchType": "switch/none",
        "NodeName": f"localhost NodeAddr=127.0.0.1 CPUs={os.cpu_count()} State=UNKNOWN",
        "PartitionName": "all Nodes=localhost Default=YES MaxTime=INFINITE State=UP",
    }  # fmt: skip


def _cgroups(directory: Path) -> Mapping[str, object]:
    """Return settings with which slurmd makes no cgroup; earlier versions get an empty directory for it."""
    told = subprocess.run(
        ["slurmd", "-V"], env={**os.environ, "PATH": _PATH}, capture_output=True, text=True, check=False
    )
    version = re.search(r"(\d+)\.(\d+)", told.stdout)
    if version is not None and tuple(map(int, version.groups())) >= _CGROUPS_DISABLED:
        return {"CgroupPlugin": "disabled"}
    return {"CgroupPlugin": "cgroup/v1", "CgroupAutomount": "no", "CgroupMountpoint": directory / "cgroup"}


def _text(settings: Mapping[str, object]) -> str:
    return "".join(f"{name}={value}\n" for name, value in settings.items())


@contextmanager
def _daemon(command: Sequence[str], environment: Mapping[str, str], directory: Path) -> Iterator[None]:
    program = shutil.which(command[0], path=_PATH) or command[0]
    with open(directory / f"{command[0]}.out", "wb") as output:
        process = subprocess.Popen(
            [program, *command[1:]], env=environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=output, cwd=directory,
        )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _runs(environment: Mapping[str, str]) -> bool:
    try:
        ended = subprocess.run(
            ["srun", "true"], env=environment, timeout=TRY_TIMEOUT, check=False, stdin=subprocess.DEVNULL,
            capture_output=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0


def _until(what: Callable[[], bool], otherwise: str, directory: Path) -> None:
    end = time.monotonic() + START_TIMEOUT
    while not what():
        if time.monotonic() > end:
            words = [_last_words(each) for each in sorted(directory.glob("*.out"))]
            raise RuntimeError("; ".join([otherwise, *filter(None, words)]))
        time.sleep(0.1)


def _last_words(output: Path) -> str:
    lines = output.read_text(errors="replace").splitlines()
    return lines[-1][-200:] if lines else ""
