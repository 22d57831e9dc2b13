"""The journal of a table: lines of JSON that a crash, a full disk or a torn last line cannot spoil."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any, ClassVar

from twisted.logger import Logger

from libgomd.private import create_private, make_private_directory, open_private

#: Lines after which the file is written anew, unless it has that many entries.
COMPACT_AT = 4096


class Journal:
    """
    Keeps the newest value of each key in the file ``path``. Each change is one line, written at once.

    A line goes to the kernel before `put` returns: it survives the daemon, however that ends. `sync` makes
    it survive the machine.

    :ivar values: what is kept, by key.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = -1
        self._lines = 0
        self.failed = 0
        self.values: dict[int, dict[str, Any]] = {}

    def open(self) -> None:
        """
        Read the file, and write it anew without what is superseded. Blocks.

        :raises OSError: the directory cannot be made or written.
        """
        make_private_directory(os.path.dirname(self._path))
        try:
            with open(open_private(self._path), "rb") as file:
                self.values = replay(file)
        except FileNotFoundError:
            pass
        self._rewrite()

    def put(self, key: int, value: dict[str, Any] | None) -> None:
        """Keep ``value`` under ``key``; None forgets it. Never raises: a full disk is counted and logged."""
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value
        try:
            if self._lines > max(COMPACT_AT, 2 * len(self.values)):
                self._rewrite()
            else:
                _write(self._file, _line(key, value))
                self._lines += 1
        except OSError as error:
            self.failed += 1
            self._log.error("the journal {path} cannot be written: {error}", path=self._path, error=error)

    def sync(self) -> None:
        """Wait until everything is on the disk. Blocks: called on a thread. :raises OSError: it is not."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _rewrite(self) -> None:
        beside = f"{self._path}.new"
        descriptor = create_private(beside)
        try:
            _write(descriptor, b"".join(_line(key, value) for key, value in self.values.items()))
            os.fsync(descriptor)
            os.rename(beside, self._path)
        except BaseException:
            os.close(descriptor)
            raise
        self.close()
        self._file = descriptor
        self._lines = len(self.values)


def _line(key: int, value: dict[str, Any] | None) -> bytes:
    return json.dumps([key, value], separators=(",", ":")).encode("ascii") + b"\n"


def _write(descriptor: int, data: bytes) -> None:
    """Write all of ``data``; a line that was cut by a full disk is ended before the next one begins."""
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        try:
            os.write(descriptor, b"\n")
        except OSError:
            pass
        raise


def replay(lines: Iterable[bytes]) -> dict[int, dict[str, Any]]:
    """Return the newest value of each key. A line that is no entry, the torn last one, is passed over."""
    values: dict[int, dict[str, Any]] = {}
    for line in lines:
        try:
            key, value = json.loads(line)
        except (ValueError, TypeError, RecursionError):
            continue
        if not isinstance(key, int) or isinstance(key, bool):
            continue
        if isinstance(value, dict):
            values[key] = value
        elif value is None:
            values.pop(key, None)
    return values
