"""A program that `gom run` runs and that moves, for benchmarks of moves."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any, Final, Protocol

GOM: Final = str(Path(sys.executable).with_name("gom"))
PYTHON: Final = "/usr/bin/python3"
#: Seconds that one command of ours has.
STEP_TIMEOUT: Final = 120.0


class Home(Protocol):
    """A daemon. :ivar unix: where it listens, as `gom -c` takes it."""

    @property
    def unix(self) -> str:
        """See the class."""


def running(home: Home) -> list[dict[str, Any]]:
    """Return the running jobs from `gom jobs`."""
    rows = [json.loads(line) for line in gom(home, "--json", "jobs").splitlines()]
    return [one for one in rows if one["state"] == "running"]


def gom(home: Home, *words: str) -> str:
    done = subprocess.run(
        [GOM, "-c", home.unix, *words], capture_output=True, text=True, timeout=STEP_TIMEOUT, check=False
    )
    assert done.returncode == 0, f"gom {words}: {done.stderr}"
    return done.stdout


class MovingJob:
    """A program that `gom run` runs at home, and its output."""

    def __init__(self, home: Home, text: str, node: int = 1) -> None:
        self._home = home
        self.output = b""
        self._run = subprocess.Popen(
            [GOM, "-c", home.unix, "run", "-n", str(node), PYTHON, "-c", text], stdout=subprocess.PIPE
        )
        self._reader = Thread(target=self._read)
        self._reader.start()
        self.until(1)
        self.pid = int(self.row()["pid"])

    def _read(self) -> None:
        assert self._run.stdout is not None
        while data := self._run.stdout.read1(1 << 20):  # type: ignore[attr-defined]
            self.output += data

    def row(self) -> dict[str, Any]:
        """Return its row of `gom jobs`."""
        return running(self._home)[-1]

    def until(self, lines: int) -> list[bytes]:
        """Wait until it has written so many lines; return them."""
        end = time.monotonic() + STEP_TIMEOUT
        while self.output.count(b"\n") < lines:
            assert time.monotonic() < end, "it wrote nothing more"
            time.sleep(0.01)
        return self.output.splitlines()

    def move(self, target: str) -> None:
        """Move it."""
        gom(self._home, "migrate", str(self.pid), target)

    def end(self) -> bytes:
        """End it with SIGTERM; return its whole output."""
        gom(self._home, "kill", str(self.row()["job"]))
        self._run.wait(STEP_TIMEOUT)
        self._reader.join(STEP_TIMEOUT)
        return self.output
