"""A person at the prompt of a shell, on a terminal of its own, with `gom` in PATH."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from tests.integration.daemon import PATIENCE
from tests.integration.jobs import GOM, PLACE, until

#: What a shell prints when it wants the next line.
PROMPT = "ready> "


class Prompt:
    """
    A shell with job control. A context manager that hangs up.

    :param endpoint: of the daemon. :param home: a directory for `gom`.
    :param shell: what runs, with its options.
    """

    def __init__(
        self, endpoint: str, home: Path, shell: Sequence[str] = ("bash", "--norc", "--noediting", "-i")
    ) -> None:
        tool = home / "gom"
        tool.write_text(f"#!{GOM[0]}\n{GOM[2]}\n")
        tool.chmod(0o755)
        env = {
            "PATH": f"{home}:{os.environ['PATH']}", "PS1": PROMPT, "TERM": "dumb", "HOME": str(home),
            "GOMD_ENDPOINT": endpoint, "PYTHONPATH": os.getcwd(), "INPUTRC": "/dev/null", "ENV": "",
            PLACE: os.environ.get(PLACE, ""),
        }  # fmt: skip
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.execvpe(shell[0], list(shell), env)
        self._seen = ""
        self._lines = 0
        self.run("true")

    def __enter__(self) -> Prompt:
        return self

    def __exit__(self, *_error: object) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.close(self._terminal)
        os.waitpid(self.pid, 0)

    def type(self, keys: str) -> None:
        """Type these keys."""
        os.write(self._terminal, keys.encode())

    def wait(self, pattern: str) -> str:
        """Return what has come up to ``pattern``, a regular expression, with it and without prompts."""
        end = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self._seen)):
            ready = select.select([self._terminal], [], [], max(0.0, end - time.monotonic()))[0]
            assert ready, f"{pattern!r} did not come: {self._seen!r}"
            self._seen += os.read(self._terminal, 65536).decode(errors="replace").replace("\r", "")
            self._seen = self._seen.replace(PROMPT, "")
        text, self._seen = self._seen[: found.end()], self._seen[found.end() :]
        return text

    def run(self, line: str) -> str:
        """Type a line and return what is printed until the shell is done with it."""
        self.idle()
        self._lines += 1
        end = f"=line {self._lines}="
        between = " " if line.endswith("&") else "; "
        self.type(f'{line}{between}echo "=""line {self._lines}="\n')
        self.wait(re.escape(f'line {self._lines}="\n'))
        return self.wait(re.escape(end) + "\n").removesuffix(f"{end}\n")

    def idle(self) -> None:
        """Wait until the shell is in the foreground of the terminal: what is typed before is not for it."""
        until(lambda: os.tcgetpgrp(self._terminal) == self.pid)

    def mode(self) -> str:
        """Return the modes of the terminal as `stty -a` says them."""
        return "speed" + self.run("stty -a").partition("speed")[2]
