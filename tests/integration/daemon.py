"""A real daemon for a test: `twistd -n gomd` in a directory of its own, ended by its process id."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from tests.integration.line import Line

#: Seconds anything may take here before the test fails. Far above what it takes: nothing waits it out.
PATIENCE = 30.0
TWISTD = str(Path(sys.executable).with_name("twistd"))
#: Nothing of the machine's own: no well-known port, no other daemon's multicast.
QUIET = "[peers]\nport = 0\ndiscovery = no\n"

_LISTENS = re.compile(r"the telnet line is at (\S.*)$")


def run(
    home: Path, *options: str, ini: str = "", user: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `twistd gomd` in the foreground until it ends by itself, as `--check` and a refused start do."""
    (home / "gomd.ini").write_text(QUIET + ini)
    return subprocess.run(
        [TWISTD, "-n", "--pidfile=", "gomd", *options],
        cwd=home, capture_output=True, text=True, timeout=PATIENCE, user=user, check=False,
    )  # fmt: skip


class Daemon:
    """
    One daemon, from `start` to `stop`.

    :param home: its working directory, with its gomd.ini; STATE is ``home/state``.
    :param options: of `twistd gomd`. :param ini: more of gomd.ini.
    :ivar port: of the telnet line, a free one. :ivar socket: its unix socket.
    :ivar lines: what it logged up to now.
    """

    def __init__(self, home: Path, *options: str, ini: str = "") -> None:
        home.mkdir(exist_ok=True)
        self.home = home
        self.state = home / "state"
        self.socket = self.state / "gomd.sock"
        self.port = 0
        self.lines: list[str] = []
        self._options = ("--state-dir", str(self.state), "--telnet", "tcp:127.0.0.1:0", *options)
        self._ended = False
        self._said = threading.Condition()
        self.configure(ini)

    def configure(self, ini: str) -> None:
        """Write gomd.ini; the daemon reads it at its start and at SIGHUP."""
        (self.home / "gomd.ini").write_text(QUIET + ini)

    def start(self) -> Daemon:
        """Start it and wait until it listens."""
        self.process = subprocess.Popen(
            self.command(),
            cwd=self.home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._ended = False
        start = len(self.lines)
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()
        for endpoint in self.wait_for(_LISTENS, start)[1].split(", "):
            if endpoint.startswith("tcp:"):
                self.port = int(endpoint.rpartition(":")[2])
        return self

    def command(self) -> Sequence[str]:
        """What starts it."""
        return (TWISTD, "-n", "--pidfile=", "gomd", *self._options)

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for text in process.stdout:
            with self._said:
                self.lines.append(text.rstrip("\n"))
                self._said.notify_all()
        with self._said:
            if process is self.process:  # else it was started anew meanwhile
                self._ended = True
            self._said.notify_all()

    def wait_for(self, pattern: re.Pattern[str] | str, start: int = 0) -> re.Match[str]:
        """Return the first match of ``pattern`` in the log from line ``start`` on, once it is there."""
        expression = re.compile(pattern)

        def found() -> re.Match[str] | None:
            return next((match for text in self.lines[start:] if (match := expression.search(text))), None)

        with self._said:
            self._said.wait_for(lambda: found() or self._ended, PATIENCE)
            match = found()
        assert match, f"the daemon never said {expression.pattern!r}:\n" + self.log
        return match

    @property
    def log(self) -> str:
        """What it logged up to now."""
        return "\n".join(self.lines)

    @property
    def tcp(self) -> str:
        """Its tcp endpoint."""
        return f"tcp:127.0.0.1:{self.port}"

    @property
    def unix(self) -> str:
        """Its unix endpoint, where the kernel tells who calls."""
        return f"unix:{self.socket}"

    def connect(self) -> Line:
        """Connect to its tcp port."""
        return Line(("127.0.0.1", self.port))

    def connect_unix(self) -> Line:
        """Connect to its unix socket."""
        return Line(str(self.socket))

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Return its exit status once it has ended."""
        return self.process.wait(PATIENCE)

    def stop(self) -> int:
        """End it as the system would; return its exit status."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.wait()

    def end(self) -> None:
        """Leave nothing running, whatever state it is in."""
        if hasattr(self, "process") and self.process.poll() is None:
            self.kill()

    def __enter__(self) -> Daemon:
        try:
            return self.start()
        except BaseException:
            self.end()
            raise

    def __exit__(self, *_error: object) -> None:
        self.end()

    def rss(self) -> int:
        """Bytes of memory it has resident."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf(
            "SC_PAGE_SIZE"
        )


def output_of(arguments: Sequence[str | Path], text: str = "", user: str | None = None) -> str:
    """Return what a program prints when it is given ``text``; it has to end by itself."""
    return subprocess.run(
        [str(argument) for argument in arguments],
        input=text, capture_output=True, text=True, timeout=PATIENCE, user=user, check=False,
    ).stdout  # fmt: skip
