"""Reads what tells a file or directory apart from another one: numbers, build id, digest. Blocks."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from typing import Final

from gomd.jobs.checkpoint.build_id import build_id
from gomd.jobs.checkpoint.content import Budget, digest_of, listing_of
from gomd.jobs.checkpoint.same_file import FileRequirement

#: Bytes of a file's beginning that are searched for its build id.
_MAX_HEAD_BYTES: Final = 65536


class FileReader:
    """
    Describes files.

    :param budget: how much is read whole; files beyond it are sampled.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def read(self, at: str, wanted: FileRequirement, source: bool = True) -> FileRequirement | None:
        """
        Return ``wanted`` with what is told of the file at ``at``; None when it is no file or directory.

        :param wanted: its path, and how it is used. :param source: this node decides how much is read.
        """
        try:
            place = os.open(at, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            known = os.fstat(place)
            directory = stat.S_ISDIR(known.st_mode)
            if not directory and not stat.S_ISREG(known.st_mode):  # opening a device may do something
                return None
            return self._describe(place, known, wanted, source)
        finally:
            os.close(place)

    def _describe(
        self, place: int, known: os.stat_result, wanted: FileRequirement, source: bool
    ) -> FileRequirement:
        directory = stat.S_ISDIR(known.st_mode)
        build, digest, whole = "", "", wanted.whole
        if not (wanted.there or wanted.written):
            try:
                opened = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:
                opened = -1
            if opened >= 0:
                try:
                    if directory:
                        digest = listing_of(opened)
                    else:
                        build = build_id(os.pread(opened, _MAX_HEAD_BYTES, 0))
                        # Another node may say how much is to be read, but not beyond the budget.
                        if not build and (source or known.st_size == wanted.size):
                            whole = (source or wanted.whole) and self._budget.allows(known.st_size)
                            digest = digest_of(opened, known.st_size, whole, wanted.near)
                except OSError:
                    digest = ""
                finally:
                    os.close(opened)
        return replace(
            wanted,
            size=0 if directory else known.st_size,
            build_id=build,
            inode=known.st_ino,
            mtime=known.st_mtime_ns,
            digest=digest,
            whole=whole,
            device=known.st_dev,
            directory=directory,
        )
