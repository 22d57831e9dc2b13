"""
The empty files and directories that were made for carried ones to appear at, and their removal with the job.

Standard library only.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from typing import Final, NamedTuple

#: Name of their list in the directory of a job's carried files.
STUBS: Final = "stubs"


class Stub(NamedTuple):
    """An empty file or directory that was made for a carried one to appear at."""

    path: str
    device: int
    inode: int


def read_stubs(path: str) -> list[Stub]:
    """Return the files and directories made here for carried files to appear at, in the order of making."""
    try:
        with open(path, "rb") as file:
            return [Stub(*json.loads(line)) for line in file.read(1 << 20).splitlines()]
    except (OSError, ValueError, TypeError):
        return []


def remove_stub(stub: Stub) -> None:
    """Remove an empty file or directory; what was replaced or given contents meanwhile stays."""
    with suppress(OSError):
        found = os.lstat(stub.path)
        if (found.st_dev, found.st_ino) != (stub.device, stub.inode):
            return
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(stub.path)
        elif stat.S_ISREG(found.st_mode) and found.st_size == 0:
            os.unlink(stub.path)
