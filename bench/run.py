"""
Compares `gom run` with ssh, srun and the compiled gomrun: the time for `true`, here and on another node, and
throughput of stdout. `gom run` is the Python program here, whether gomrun is installed or not.

Two daemons with a key, so that what goes between them is TLS, an sshd of our own and a slurm of our own, all
on loopback. All of them run the whole time and take turns, so that whatever else the machine does hits them
alike.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Timer
from typing import Final

from bench import slurm
from bench.rows import Row, aim, compared, unmeasured
from libgomd.keys import new_key_file
from tests.integration.jobs import GOM, PLACE, Pair

MEASURED_ROUNDS: Final = 21
BYTES: Final = 300_000_000
BYTE_ROUNDS: Final = 5
SSHD: Final = shutil.which("sshd") or "/usr/sbin/sshd"
HERE: Final = "this node"
THERE: Final = "another node"
SSH: Final = "ssh 127.0.0.1"
SRUN: Final = "srun"
#: What the throughput of a job's output has to be at least, to that of ssh.
STDOUT_GOALS: Final = {HERE: 0.5, THERE: 0.9}
#: Seconds that one command has.
COMMAND_TIMEOUT: Final = 60.0
#: What gomrun may take, to what `gom run` takes.
GOMRUN: Final = "gomrun"
GOMRUN_GOALS: Final = {HERE: 0.3, THERE: 0.4}


def run() -> list[Row]:
    """Measure, and return the rows; what is not installed is left out."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gomd-bench-")))
        key_file = str(directory / "key")
        new_key_file(key_file)
        home, _other = stack.enter_context(Pair(directory, "--key-file", key_file))
        gom = (*GOM, "-c", home.unix, "run")
        ours = {HERE: (*gom, "-n", "1"), THERE: (*gom, "-n", "2")}
        ways: dict[str, tuple[str, ...]] = dict(ours)
        if compiled := built(directory, GOMRUN):
            for number, where in enumerate(ours, 1):
                ways[f"{GOMRUN}, {where}"] = (str(compiled), "-c", home.unix, "-n", str(number))
        if os.access(SSHD, os.X_OK) and shutil.which("ssh") is not None:
            ways[SSH] = stack.enter_context(sshd(directory))
        environment = dict(os.environ)
        environment.pop(PLACE, None)
        if found := _slurm(stack, directory):
            ways[SRUN] = (SRUN,)
            environment.update(found)
        times = _times({name: (*way, "true") for name, way in ways.items()}, MEASURED_ROUNDS, environment)
        ways.pop(SRUN, None)
        command = ("head", "-c", str(BYTES), "/dev/zero")
        seconds = _times({name: (*way, *command) for name, way in ways.items()}, BYTE_ROUNDS, environment)
    rows = []
    for where in ours:
        name, values = f"gom run true, {where}", _milliseconds(times[where])
        if SSH in times:
            rows.append(compared(name, values, "ms", f"{SSH} true", _milliseconds(times[SSH]), 1.0))
        else:
            rows.append(unmeasured(name, statistics.median(values), "ms", "no sshd here", 1.0))
        if SRUN in times:
            theirs = statistics.median(_milliseconds(times[SRUN]))
            rows.append(aim(name, statistics.median(values), "ms", f"{SRUN} true", theirs, 1.0))
    for where in ours:
        if (name := f"{GOMRUN}, {where}") not in times:
            rows.append(unmeasured(f"{GOMRUN} true, {where}", None, "ms", "no compiler", GOMRUN_GOALS[where]))
            continue
        name, values = f"{GOMRUN} true, {where}", _milliseconds(times[name])
        python = _milliseconds(times[where])
        rows.append(compared(name, values, "ms", "gom run true", python, GOMRUN_GOALS[where]))
        if SRUN in times:
            rows.append(compared(name, values, "ms", f"{SRUN} true", _milliseconds(times[SRUN]), 1.0))
    for where, goal in STDOUT_GOALS.items():
        for way, name in ((where, where), (f"{GOMRUN}, {where}", f"{where}, by {GOMRUN}")):
            if way in seconds:
                rows.append(_throughput(f"stdout of a job, {name}", seconds[way], seconds.get(SSH), goal))
    return rows


def _throughput(name: str, seconds: Sequence[float], ssh: Sequence[float] | None, goal: float) -> Row:
    """Return the row of some output, next to what ssh took for it; None: there is no sshd here."""
    rates = _rates(seconds)
    if ssh is None:
        return unmeasured(name, statistics.median(rates), "MB/s", "no sshd here", goal)
    return compared(name, rates, "MB/s", "ssh", _rates(ssh), goal, at_least=True)


def built(directory: Path, target: str) -> Path | None:
    """Build a program of clients/c into a directory and return its path; None without make or a compiler."""
    if not (shutil.which("make") and shutil.which("cc")):
        return None
    place = directory / "clients-c"
    source = Path(__file__).parents[1] / "clients" / "c"
    command = ["make", "-s", "-C", str(source), f"BUILD={place}", str(place / target)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return place / target


def _milliseconds(seconds: Sequence[float]) -> list[float]:
    return [value * 1000 for value in seconds]


def _rates(seconds: Sequence[float]) -> list[float]:
    return [BYTES / 1e6 / value for value in seconds]


def _slurm(stack: ExitStack, directory: Path) -> Mapping[str, str]:
    """Run slurm until the stack ends; return the environment that `srun` needs, {} without slurm."""
    missing = slurm.missing()
    if missing:
        print(f"run: not measured next to srun: not installed are {missing}")
        return {}
    place = directory / "slurm"
    place.mkdir()
    try:
        return stack.enter_context(slurm.slurm(place))
    except RuntimeError as error:
        print(f"run: not measured next to srun: {error}")
        return {}


def _times(
    commands: Mapping[str, Sequence[str]], rounds: int, environment: Mapping[str, str]
) -> dict[str, list[float]]:
    """Run the commands in turn; return the seconds of each in each round, the first round left out."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            times[name].append(_time(command, environment))
    return {name: taken[1:] for name, taken in times.items()}


def _time(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Return the seconds that a command takes; its output goes through a pipe and is dropped."""
    begun = time.perf_counter()
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        watch = Timer(COMMAND_TIMEOUT, process.kill)
        watch.start()
        while process.stdout.read1(1 << 20):  # type: ignore[attr-defined]
            pass
        process.wait()
        watch.cancel()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}")
    return time.perf_counter() - begun


@contextmanager
def sshd(directory: Path) -> Iterator[tuple[str, ...]]:
    """Run an sshd with its own keys; yield the command that runs another one through it."""
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)]
        subprocess.run(command, check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "ListenAddress": "127.0.0.1", "Port": port, "HostKey": directory / "host", "PidFile": "none",
        "AuthorizedKeysFile": directory / "user.pub", "StrictModes": "no", "UsePAM": "no",
        "PermitRootLogin": "prohibit-password", "UseDNS": "no",
        "SetEnv": f"HOME={directory}",  # what the shell does at its start is not ssh's
    }  # fmt: skip
    config = directory / "sshd_config"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    process = subprocess.Popen([SSHD, "-D", "-f", str(config)], stderr=subprocess.DEVNULL)
    ssh = (
        "ssh", "-F", "none", "-p", str(port), "-i", str(directory / "user"), "-o", "BatchMode=yes",
        "-o", f"UserKnownHostsFile={directory / 'known'}", "-o", "StrictHostKeyChecking=accept-new",
        "-o", "LogLevel=ERROR", "127.0.0.1",
    )  # fmt: skip
    try:
        for _attempt in range(100):
            if subprocess.run([*ssh, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
                break
            time.sleep(0.1)
        else:
            raise RuntimeError("the sshd for the comparison does not answer")
        yield ssh
    finally:
        process.terminate()
        process.wait()
