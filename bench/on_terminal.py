"""A program on a terminal of its own: when it showed something, its processor time and its memory."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final

from bench.servers import cpu_seconds_of, memory_of

#: Rows and columns of the terminal.
SIZE: Final = (50, 200)
#: Seconds that anything may take.
STEP_TIMEOUT: Final = 30.0


class OnTerminal:
    """
    Runs a program from `__enter__` to `__exit__`; what it writes is read and looked at.

    :param awaited: the bytes that show that it is there.
    """

    def __init__(self, command: Sequence[str], awaited: bytes) -> None:
        self._command = command
        self._awaited = awaited
        self._shown = threading.Event()
        self._shown_at = 0.0

    def __enter__(self) -> OnTerminal:
        self._ours, its = os.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        environment.pop("NO_COLOR", None)
        self._began = time.perf_counter()
        self._process = subprocess.Popen(
            self._command, stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True
        )
        os.close(its)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STEP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(STEP_TIMEOUT)
        os.close(self._ours)

    def first_seconds(self) -> float:
        """Return the seconds from its start until it has shown what is awaited. Blocks."""
        if not self._shown.wait(STEP_TIMEOUT):
            raise RuntimeError(f"{' '.join(self._command)} did not show {self._awaited!r}")
        return self._shown_at - self._began

    def cpu_seconds(self) -> float:
        """Return the processor time that it has used, in seconds."""
        return cpu_seconds_of(self._process.pid)

    def memory(self) -> int:
        """Return its resident memory, in bytes."""
        return memory_of(self._process.pid)

    def _read(self) -> None:
        tail = b""
        while True:
            try:
                data = os.read(self._ours, 1 << 16)
            except OSError:  # it has ended
                return
            if not data:
                return
            if not self._shown.is_set():
                tail = tail[-len(self._awaited) :] + data
                if self._awaited in tail:
                    self._shown_at = time.perf_counter()
                    self._shown.set()
