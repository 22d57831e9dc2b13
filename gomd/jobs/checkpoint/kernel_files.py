"""Small files of /proc and /sys that may be missing, or may not be read or written. Standard library only."""

from __future__ import annotations

import os
from contextlib import suppress


def read_text(path: str, limit: int = 1 << 16) -> str:
    """
    Return what a file of the kernel's says, empty when there is none or it may not be read.

    :param limit: bytes that are read of it at most.
    """
    try:
        with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
            return file.read(limit)
    except OSError:
        return ""


def write_text(path: str, text: str) -> None:
    """Write a file of the kernel's. Errors are ignored: the kernel may lack the file, or refuse the write."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode("ascii"))
        finally:
            os.close(descriptor)
