"""
`gom run` next to ssh: the time for `true`, on this node and on another one, and the throughput of stdout.

Two daemons with a key, so that what goes between them is TLS, and an sshd of our own, all on loopback. All
of them run the whole time and take turns, so that whatever else the machine does hits them alike.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bench.rows import Row, row, unmeasured
from libgomd.keys import new_key_file
from tests.integration.jobs import Pair

ROUNDS: Final = 21
BYTES: Final = 300_000_000
BYTE_ROUNDS: Final = 5
GOM: Final = str(Path(sys.executable).with_name("gom"))
SSHD: Final = shutil.which("sshd") or "/usr/sbin/sshd"


def run() -> list[Row]:
    """Measure, and return the rows; without an sshd there is nothing to compare with."""
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="gomd-bench-"))
        key_file = str(Path(directory, "key"))
        new_key_file(key_file)
        home, _other = stack.enter_context(Pair(Path(directory), "--key-file", key_file))
        gom = (GOM, "-c", home.unix, "run")
        here, there = (*gom, "-n", "1"), (*gom, "-n", "2")
        if not os.access(SSHD, os.X_OK) or shutil.which("ssh") is None:
            return _alone(here, there)
        ssh = stack.enter_context(sshd(Path(directory)))
        times = [[_time((*way, "true")) for way in (here, there, ssh)] for _ in range(ROUNDS)][1:]
        rates = [
            [BYTES / 1e6 / _time((*way, "head", "-c", str(BYTES), "/dev/zero")) for way in (here, there, ssh)]
            for _ in range(BYTE_ROUNDS)
        ][1:]
    local, remote, theirs = (statistics.median(column) * 1000 for column in zip(*times, strict=True))
    near, far, piped = (statistics.median(column) for column in zip(*rates, strict=True))
    return [
        row("gom run true, this node", local, "ms", "ssh 127.0.0.1 true", theirs, 1.0),
        row("gom run true, another node", remote, "ms", "ssh 127.0.0.1 true", theirs, 1.0),
        row("stdout of a job here", near, "MB/s", "ssh", piped, 0.5, at_least=True),
        row("stdout of a job on another node", far, "MB/s", "ssh", piped, 0.5, at_least=True),
    ]


def _alone(here: Sequence[str], there: Sequence[str]) -> list[Row]:
    local, remote = (statistics.median(_time((*way, "true")) for _ in range(ROUNDS)) for way in (here, there))
    return [
        unmeasured("gom run true, this node", local * 1000, "ms", "no sshd here", 1.0),
        unmeasured("gom run true, another node", remote * 1000, "ms", "no sshd here", 1.0),
    ]


def _time(command: Sequence[str]) -> float:
    """Seconds that a command takes; what it prints goes through a pipe to nowhere."""
    begun = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while process.stdout.read1(1 << 20):  # type: ignore[attr-defined]
            pass
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}")
    return time.perf_counter() - begun


@contextmanager
def sshd(directory: Path) -> Iterator[tuple[str, ...]]:
    """Run an sshd with keys of its own; give the command that runs another one through it."""
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
