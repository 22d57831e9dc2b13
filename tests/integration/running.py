"""Real daemons for tests: `twistd -n gomd` with a state directory and ports of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from libgomd import blocking
from libgomd.errors import ConnectionLost

#: Seconds for a daemon to answer, on a machine that is busy with other tests.
PATIENCE = 20.0


class RunningDaemon:
    """
    A daemon in a process of its own, which answers once this is made; ``with`` ends it.

    :ivar unix: its endpoint where the kernel tells who calls.
    """

    def __init__(self, directory: Path, *options: str, node: int = 1, name: str = "alpha") -> None:
        self.directory = directory
        self.state = directory / "state"
        self.unix = f"unix:{self.state}/gomd.sock"
        self._log = directory / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "gomd",
                    "--config", os.devnull, "--node-id", str(node), "--name", name,
                    "--state-dir", str(self.state), "--telnet", "tcp:127.0.0.1:0,unix:",
                    "--peers", "127.0.0.1:0", "--set", "peers.discovery=no", *options,
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory,
            )  # fmt: skip
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    @property
    def log(self) -> str:
        """What it logged up to now."""
        return self._log.read_text(errors="backslashreplace")

    @property
    def tcp(self) -> str:
        """Its tcp endpoint, on a port that was free."""
        found = re.search(r"tcp:127\.0\.0\.1:\d+", self.log)
        assert found, self.log
        return found.group()

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with blocking.connect(self.unix, timeout=PATIENCE) as client:
                    node = client.node()
                if None not in (node.load, node.cpus, node.mem):  # it has read them for the first time
                    return
            except ConnectionLost:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the daemon does not answer:\n{self.log}")
            time.sleep(0.02)

    def stop(self) -> int:
        """End it as systemd would, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the daemon does not stop:\n{self.log}") from None

    def __enter__(self) -> RunningDaemon:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
