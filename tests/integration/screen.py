"""A terminal that a test holds: runs a program with a screen in it, types keys and reads what is written."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.integration.daemon import PATIENCE

#: What switches a terminal to its second screen, and back; what hides its cursor, and shows it.
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"
#: Sequences that steer a terminal. A jump of the cursor separates words.
_JUMP = re.compile(rb"\x1b\[[0-9;]*[HCG]")
_OTHER = re.compile(
    rb"\x1b(\[[0-9;?<>=$]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|P[^\x1b]*\x1b\\|[=>()][0-9A-B]?)"
)


class Screen:
    """
    A program in a terminal of its own. A context manager; leaving it ends the program.

    :ivar written: every byte that came from it.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 100,
        rows: int = 24,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._master, slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(slave)
        environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(env or {})}
        for name in {"NO_COLOR", "COLUMNS", "LINES"} - set(env or ()):  # of whoever runs the tests
            environment.pop(name, None)
        self._slave = slave
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        self.written = b""
        self._more = threading.Condition()
        self._hung_up = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._slave >= 0:
            os.close(self._slave)
        self._reader.join(PATIENCE)
        if self._master >= 0:
            os.close(self._master)

    def hang_up(self) -> None:
        """Take the terminal away, as a closed window does."""
        os.close(self._slave)
        self._slave = -1
        self._hung_up.set()
        self._reader.join(PATIENCE)
        os.close(self._master)
        self._master = -1

    def _read(self) -> None:
        while not self._hung_up.is_set():
            try:
                if not select.select([self._master], [], [], 0.1)[0]:
                    continue
                data = os.read(self._master, 65536)
            except OSError:
                return
            if not data:
                return
            with self._more:
                self.written += data
                self._more.notify_all()

    def resize(self, columns: int, rows: int) -> None:
        """Make the terminal another size; the kernel tells the program."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: str | bytes) -> int:
        """Type. Returns where to look for what is written from now on."""
        with self._more:
            mark = len(self.written)
        os.write(self._master, keys.encode() if isinstance(keys, str) else keys)
        return mark

    @property
    def mark(self) -> int:
        """Where to look for what is written from now on."""
        return len(self.written)

    def text(self, since: int = 0) -> str:
        """Return what was written from ``since`` on, without what steers the terminal."""
        return _OTHER.sub(b"", _JUMP.sub(b"\n", self.written[since:])).decode("utf-8", "replace")

    def wait_for(self, pattern: str, since: int = 0) -> re.Match[str]:
        """Return the first match of ``pattern`` in what was written from ``since`` on, once it is there."""
        expression = re.compile(pattern)
        self._until(lambda: bool(expression.search(self.text(since))))
        found = expression.search(self.text(since))
        assert found, f"never saw {pattern!r}:\n{self.text(since)[-3000:]}"
        return found

    def wait_for_bytes(self, wanted: bytes, since: int = 0) -> None:
        """Wait until the program has written these bytes."""
        self._until(lambda: wanted in self.written[since:])
        assert wanted in self.written[since:], f"never saw {wanted!r}"

    def _until(self, is_there: Callable[[], bool]) -> None:
        """Wait until something is there, or the program has ended and nothing more comes."""
        end = time.monotonic() + PATIENCE
        while not is_there() and time.monotonic() < end:
            has_ended = self.process.poll() is not None
            with self._more:
                is_more = self._more.wait(0.2)
            if has_ended and not is_more:
                return

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Return its exit status once it has ended."""
        return self.process.wait(PATIENCE)

    def modes(self) -> list[Any]:
        """Return the modes of the terminal now."""
        return termios.tcgetattr(self._slave)

    def is_restored(self, since: int = 0) -> bool:
        """Whether the terminal is as it was: its modes, first screen and cursor, and no mouse reports."""
        written = self.written[since:]
        after = written.rpartition(LEAVE)
        return (
            self.modes() == self.before and bool(after[1]) and ENTER not in after[2]
            and written.rfind(SHOW) > written.rfind(HIDE)
            and written.rfind(b"\x1b[?1000l") > written.rfind(b"\x1b[?1000h")
        )  # fmt: skip

    def state(self) -> str:
        """Return the kernel's letter of the program's state."""
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
