"""Describes what this node has in place of a file that a job uses on another node. Blocks."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import replace

from gomd.jobs.checkpoint.acting_as import acting_as
from gomd.jobs.checkpoint.file_facts import FileReader
from gomd.jobs.checkpoint.file_identity import volume_of
from gomd.jobs.checkpoint.mounts import (
    Mount,
    mount_of,
)
from gomd.jobs.checkpoint.probes import Rights
from gomd.jobs.checkpoint.same_file import FileRequirement


def describe_here(
    wanted: FileRequirement, reader: FileReader, mounts: Sequence[Mount], rights: Rights | None = None
) -> FileRequirement | None:
    """
    Return what this node has instead of a file of another node; None when there is nothing of its kind.

    :param rights: of the user who must be allowed to have it, None for root. Of what this user may not have,
        nothing is told, as another node asks.
    """
    if rights is not None and not _may_have(wanted, rights):
        return _untold(wanted, mounts, rights)
    found = reader.read(wanted.path, wanted, source=False)
    return None if found is None else replace(found, volume=_volume_here(wanted, mounts), denied=False)


def _untold(wanted: FileRequirement, mounts: Sequence[Mount], rights: Rights) -> FileRequirement | None:
    """Return which file a user sees that may not have it; without numbers if it may not even look."""
    known, volume = None, ""
    try:
        with acting_as(rights.uid, rights.gid, rights.groups):
            known = os.stat(wanted.path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
    else:
        volume = _volume_here(wanted, mounts)
    inode, device = (0, 0) if known is None else (known.st_ino, known.st_dev)
    return replace(
        wanted, denied=True, size=0, build_id="", inode=inode, mtime=0, digest="", device=device,
        volume=volume,
    )  # fmt: skip


def _volume_here(wanted: FileRequirement, mounts: Sequence[Mount]) -> str:
    mount = mount_of(mounts, wanted.path) if wanted.volume else None
    return "" if mount is None else volume_of(mount, wanted.path)


def _may_have(wanted: FileRequirement, rights: Rights) -> bool:
    """Whether a user may have a file as the job has it; having it mapped, to execute it is enough."""
    changes = wanted.written and not (wanted.directory or wanted.watched)
    modes = (os.W_OK,) if changes else (os.R_OK, os.X_OK)
    try:
        with acting_as(rights.uid, rights.gid, rights.groups):
            return any(os.access(wanted.path, mode, effective_ids=True) for mode in modes)
    except OSError:
        return True  # it cannot be told now: it is checked again when the copy has it open
