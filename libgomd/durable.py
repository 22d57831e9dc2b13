"""
Writing small files whole: a reader finds all of the old content or all of the new, never a part of it.

The name of each function says what the file survives:

- `replace_atomically`: a crash of this process. A power cut may bring back the old content or lose both.
- `replace_durably`: a power cut as well. It returns when the content and the name are on the disk.
- `create_exclusively`: a power cut once it has returned. It never overwrites. A crash halfway through may
  leave an incomplete file.
- `create_atomically`: a power cut at any moment. It never overwrites and never leaves an incomplete file.

All but `create_exclusively` write ``PATH.new`` first and remove what an earlier crash left there, so the
caller must be the only writer of that path. New files have mode 0600 unless a mode is given. Everything
blocks and raises OSError; the old file is then untouched and the new one removed. Standard library only.
"""

from __future__ import annotations

import contextlib
import os

from libgomd.private import create_private


def replace_atomically(path: str, data: bytes, mode: int = 0o600) -> None:
    """
    Replace or create the file ``path``. It survives a crash of this process, not a power cut. Blocks.

    :raises OSError: it cannot be written.
    """
    _replace(path, data, mode=mode)


def replace_durably(path: str, data: bytes, owner: tuple[int, int] | None = None, mode: int = 0o600) -> None:
    """
    Replace or create the file ``path``. It survives a power cut once this returns. Blocks on the disk.

    :param owner: user id and group id of the new file; by default those of this process.
    :raises OSError: it cannot be written.
    """
    _replace(path, data, mode=mode, owner=owner, sync=True)
    sync_directory(os.path.dirname(path) or ".")


def create_exclusively(path: str, data: bytes, mode: int = 0o600) -> None:
    """
    Create the file ``path`` and write it in place. It survives a power cut once this returns. Blocks.

    :raises FileExistsError: there is something at ``path``, even a dangling symbolic link.
    :raises OSError: it cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _write(descriptor, data, mode=mode, sync=True)
        sync_directory(os.path.dirname(path) or ".")
    except BaseException:
        os.unlink(path)
        raise


def create_atomically(path: str, data: bytes) -> None:
    """
    Create the file ``path``: whenever the machine stops, all of it is there or nothing. Blocks on the disk.

    On a file system without hard links, a file that another process creates at ``path`` during this call
    is overwritten.

    :raises FileExistsError: there is something at ``path``.
    :raises OSError: it cannot be written.
    """
    new = f"{path}.new"
    try:
        _write(create_private(new), data, sync=True)
        try:
            os.link(new, path)  # unlike a rename, it never replaces a file
        except FileExistsError:
            raise
        except OSError:
            if os.path.lexists(path):
                raise
            os.rename(new, path)
        else:
            os.unlink(new)
    except BaseException:
        _remove(new)
        raise
    sync_directory(os.path.dirname(path) or ".")


def sync_directory(path: str) -> None:
    """
    Wait until the names in the directory ``path`` are on the disk. Blocks.

    :raises OSError: they may not be.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(
    path: str, data: bytes, *, mode: int = 0o600, owner: tuple[int, int] | None = None, sync: bool = False
) -> None:
    new = f"{path}.new"
    try:
        _write(create_private(new), data, mode=mode, owner=owner, sync=sync)
        os.rename(new, path)
    except BaseException:
        _remove(new)
        raise


def _write(
    descriptor: int,
    data: bytes,
    *,
    mode: int = 0o600,
    owner: tuple[int, int] | None = None,
    sync: bool,
) -> None:
    """Write a whole file and close it."""
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if mode != 0o600:
            os.fchmod(descriptor, mode)
        if owner is not None:
            os.fchown(descriptor, *owner)
        if sync:
            os.fsync(descriptor)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
