"""
Reads small files of the kernel again and again without opening them each time.

The kernel makes the content of such a file anew whenever it is read from its beginning. Opening and closing
it costs several times what reading it does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

#: Reads after which a file is opened again, since another one may have been mounted in its place.
REOPEN_READS: Final = 60
_PIECE: Final = 65536


class _Open:
    """An open file. It is closed when no thread reads it any more, whoever has forgotten it meanwhile."""

    __slots__ = ("descriptor", "left")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.left = REOPEN_READS

    def __del__(self) -> None:
        os.close(self.descriptor)


class KeptReads:
    """
    Files that stay open. Any thread may use it; none waits for another one.

    :param open_file: opens a file for reading; raises OSError. What it opens must be a file whose content is
        made when it is read.
    :param most: maximum number of files that stay open.
    """

    def __init__(self, open_file: Callable[[str], int], most: int) -> None:
        self._open_file = open_file
        self._most = most
        self._open: dict[str, _Open] = {}

    def read(self, path: str, limit: int) -> bytes:
        """
        Return the content of a file, or its first ``limit`` bytes. Blocks.

        :raises OSError: the error of the kernel.
        """
        found = self._open.get(path)
        if found is not None:
            found.left -= 1
            try:
                data = _read_all(found.descriptor, limit)
            except OSError:  # what it belonged to is gone; there may be another one
                self._open.pop(path, None)
            else:
                if found.left <= 0:
                    self._open.pop(path, None)
                return data
        found = _Open(self._open_file(path))
        data = _read_all(found.descriptor, limit)
        if len(self._open) < self._most:
            self._open[path] = found
        return data


def _read_all(descriptor: int, limit: int) -> bytes:
    data = os.pread(descriptor, min(_PIECE, limit), 0)
    while data and len(data) < limit:
        piece = os.pread(descriptor, min(_PIECE, limit - len(data)), len(data))
        if not piece:
            break
        data += piece
    return data
