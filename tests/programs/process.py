"""A program that runs, with what it writes collected as it comes."""

from __future__ import annotations

import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fcntl import ioctl

#: Seconds that anything may take that a program is waited for, on a machine that has other things to do.
PATIENCE = 60.0
_ROWS, _COLUMNS = 24, 80


class Unseen(Exception):
    """What should be seen never came, or the program ended before."""


class Process:
    """
    A program with pipes, or with a terminal of 24 lines and 80 columns for it to take (``setsid --ctty``).

    :ivar cpu: the seconds of processor time that it and what it waited for have used, once it has ended.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], terminal: bool = False) -> None:
        self._pieces: dict[str, bytearray] = {"out": bytearray(), "err": bytearray()}
        self._changed = threading.Condition()
        self._position = 0
        self.cpu = 0.0
        self._master = -1
        if terminal:
            self._master, slave = pty.openpty()
            ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", _ROWS, _COLUMNS, 0, 0))
            self._popen = subprocess.Popen(
                command, env=env, start_new_session=True, stdin=slave, stdout=slave, stderr=slave
            )
            os.close(slave)
            streams = {"out": self._master}
        else:
            pipe = subprocess.PIPE
            self._popen = subprocess.Popen(
                command, env=env, start_new_session=True, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe
            )
            assert self._popen.stdout is not None
            assert self._popen.stderr is not None
            streams = {"out": self._popen.stdout.fileno(), "err": self._popen.stderr.fileno()}
        self._readers = [
            threading.Thread(target=self._read, args=(self._pieces[name], number), daemon=True)
            for name, number in streams.items()
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Its process id out here."""
        return self._popen.pid

    def _read(self, pieces: bytearray, number: int) -> None:
        with suppress(OSError):  # EIO: nobody has the terminal open any more
            while piece := os.read(number, 1 << 16):
                with self._changed:
                    pieces += piece
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def out(self) -> bytes:
        """Its standard output up to now, or all that it wrote to its terminal."""
        return bytes(self._pieces["out"])

    @property
    def err(self) -> bytes:
        """Its standard error up to now."""
        return bytes(self._pieces["err"])

    def expect(self, pattern: bytes) -> None:
        """
        Wait until it has written this after what was expected before.

        :raises Unseen: it did not.
        """
        expression = re.compile(pattern, re.DOTALL)
        with self._changed:
            found = self._changed.wait_for(
                lambda: expression.search(self._pieces["out"], self._position) or not self._reads(), PATIENCE
            )
            if not isinstance(found, re.Match):
                raise Unseen(f"it never wrote {pattern!r}: {self.out[-300:]!r} {self.err[-300:]!r}")
            self._position = found.end()

    def _reads(self) -> bool:
        return self._readers[0].is_alive()

    def write(self, data: bytes) -> None:
        """Write to its input. :raises Unseen: it reads no more."""
        number = self._popen.stdin.fileno() if self._popen.stdin else self._master
        try:
            while data:
                data = data[os.write(number, data) :]
        except OSError as error:
            raise Unseen(f"it reads no more ({error}): {self.err[-300:]!r}") from None

    def close_input(self) -> None:
        """End its input; a terminal's stays as it is."""
        if self._popen.stdin is not None:
            self._popen.stdin.close()

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._popen.returncode is None and not self._ended(os.WNOHANG)

    def _ended(self, options: int) -> bool:
        pid, status, usage = os.wait4(self._popen.pid, options)
        if pid:
            self._popen.returncode = os.waitstatus_to_exitcode(status)
            self.cpu = usage.ru_utime + usage.ru_stime
        return bool(pid)

    def wait(self, limit: float = PATIENCE) -> int:
        """
        Return its exit status, once all of its output is there.

        :raises Unseen: it has not ended within ``limit`` seconds.
        """
        end = time.monotonic() + limit
        while self.runs:
            if time.monotonic() > end:
                raise Unseen(f"it did not end within {limit:g} s: {self.out[-300:]!r} {self.err[-300:]!r}")
            time.sleep(0.01)
        for reader in self._readers:
            reader.join(PATIENCE)
        return int(self._popen.returncode)

    def close(self) -> None:
        """End it if it has not ended, and close its streams."""
        with suppress(Unseen):
            if self.runs:
                os.killpg(self._popen.pid, signal.SIGKILL)
            self.wait(PATIENCE)
        if self._master >= 0:
            os.close(self._master)
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if stream is not None:
                stream.close()
