"""
Whether the files of gomd are still those that this daemon was started from.

A part that is first needed much later is imported then. If gomd has been upgraded in between, that part would
belong to another version than the rest of the daemon, and would fail somewhere in the middle.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import blake2b
from importlib import import_module

import gomd
import libgomd
from libgomd.errors import NotPossible


class InstalledFiles:
    """
    Takes note of the Python files below some directories. Blocks for a few milliseconds.

    :param directories: of the packages.
    """

    def __init__(self, directories: Sequence[str]) -> None:
        self._directories = directories
        self._at_start = self._fingerprint()
        self._loaded: set[str] = set()

    def load(self, name: str) -> None:
        """
        Import a module that is needed now, with all that it imports. Blocks. May be called again.

        :raises NotPossible: the files are others now, or became others while they were read.
        :raises Exception: whatever the module raises.
        """
        if name in self._loaded:
            return
        self.check()
        import_module(name)
        self.check()
        self._loaded.add(name)

    def check(self) -> None:
        """Compare the files with those at the start. Blocks. :raises NotPossible: they are others now."""
        if self._fingerprint() != self._at_start:
            raise NotPossible(
                "the files of gomd were replaced after this daemon had started: restart it, its jobs run on"
            )

    def _fingerprint(self) -> bytes:
        digest = blake2b(digest_size=16)
        for directory in self._directories:
            for line in sorted(_lines(directory)):
                digest.update(os.fsencode(line))
        return digest.digest()


def _lines(directory: str) -> Iterator[str]:
    """Yield a line for each Python file; a directory that cannot be read has none."""
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _lines(entry.path)
            elif entry.name.endswith(".py"):
                found = entry.stat()
                yield f"{entry.path}\0{found.st_size}\0{found.st_mtime_ns}\n"
        except OSError:
            continue  # it was removed just now


@cache
def installed_files() -> InstalledFiles:
    """Return the files of gomd as they were at the first call in this process, which is made at its start."""
    return InstalledFiles([os.path.dirname(str(package.__file__)) for package in (gomd, libgomd)])
