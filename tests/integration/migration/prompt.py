"""A `gom run` at a prompt: a real terminal in which a test types, and whose output it reads."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.integration.daemon import PATIENCE
from tests.integration.hosts import Host
from tests.integration.migration.moving import Job


class PromptJob(Job):
    """
    A job with a terminal on a host. Its caller, `gom run`, has one of its own, of 24 rows and 80 columns.

    :ivar near: our end of that. :ivar drawn: everything that has come out of it.
    :cvar opened: those that have not ended yet, as far as a test has not ended them.
    """

    opened: ClassVar[list[PromptJob]] = []

    def __init__(self, home: Host, *words: str, user: str = "root", env: Sequence[str] = ()) -> None:
        self.opened.append(self)
        self.drawn = b""
        self._seen = 0
        environment = ("env", "-i", "PATH=/usr/bin:/bin", "TERM=xterm", "HOME=/", "LC_ALL=C", *env)
        super().__init__(home, "-n", str(home.number), "-t", *environment, *words, user=user)

    def start(self, command: Sequence[str], cwd: Path | str) -> None:
        """Start gom on a new terminal, which is its session's."""
        self.near, far = os.openpty()
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *command], cwd=cwd, stdin=far, stdout=far, stderr=far
        )
        os.close(far)
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._readers = [self._reader]
        self._reader.start()

    def _collect(self) -> None:
        while True:
            try:
                piece = os.read(self.near, 65536)
            except OSError:
                return
            if not piece:
                return
            self.drawn += piece

    @property
    def out(self) -> bytes:
        """Everything that was drawn."""
        return self.drawn

    @property
    def err(self) -> bytes:
        """What was drawn: it is on the terminal too."""
        return self.drawn

    def type(self, text: str | bytes) -> None:
        """Press these keys."""
        os.write(self.near, text.encode() if isinstance(text, str) else text)

    def see(self, pattern: str | bytes, limit: float = PATIENCE) -> re.Match[bytes]:
        """Wait until ``pattern`` is drawn, behind what was seen before; return the match."""
        wanted = re.compile(pattern.encode() if isinstance(pattern, str) else pattern, re.DOTALL)
        end = time.monotonic() + limit
        while True:
            found = wanted.search(self.drawn, self._seen)
            if found:
                self._seen = found.end()
                return found
            assert time.monotonic() < end, f"no {pattern!r} behind {self._seen} in {self.drawn[-3000:]!r}"
            time.sleep(0.01)

    def never(self, pattern: str | bytes) -> None:
        """Check that ``pattern`` has not been drawn at any time."""
        wanted = re.compile(pattern.encode() if isinstance(pattern, str) else pattern, re.DOTALL)
        assert not wanted.search(self.drawn), self.drawn

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the caller's terminal."""
        fcntl.ioctl(self.near, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def end(self) -> None:
        """End the caller and close its terminal."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        os.close(self.near)
