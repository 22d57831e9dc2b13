"""Reads the files that a job is to carry along, at home, as the job's user."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Final

from gomd.jobs.checkpoint.file_tree import Owners, Source, TreeLimits, pack_sources
from gomd.jobs.checkpoint.file_tree_codec import TreeRefused
from gomd.jobs.checkpoint.open_beneath import open_beneath
from gomd.jobs.supervisor import carried_base
from gomd.jobs.supervisor.carried_base import Identity
from libgomd.errors import CannotMove
from libgomd.wire.carry_messages import CarrySpec

#: Directories of the stream that do not count against the limits: one for each carried path.
_ENCLOSING: Final = 128
#: Maximum size of the record of the files at home, in bytes: enough for 100,000 with long paths.
_MAX_BASE: Final = 64 << 20


def files_at_home(spec: CarrySpec, base: int) -> Iterator[bytes]:
    """
    Yield the stream of the files that ``spec`` names, and write down what they are.

    :param base: open for writing, empty. :raises CannotMove: they cannot be read, or are too many.
    """
    root, left = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), _MAX_BASE

    def sources() -> Iterator[Source]:
        for number, path in enumerate(spec.paths):
            parent, name = open_parent(root, path)
            try:
                yield Source(str(number).encode(), parent, name)
            finally:
                os.close(parent)

    def seen(path: tuple[bytes, ...], found: os.stat_result | None) -> None:
        nonlocal left
        identity = None
        if found is not None:
            link = stat.S_ISLNK(found.st_mode)
            identity = Identity.of(found, _target(root, spec.paths, path) if link else "")
        line = carried_base.line(path, identity)
        if (left := left - len(line)) < 0:  # root's file, and no quota of the user's counts it
            raise TreeRefused(f"the names of its files have more than {_MAX_BASE >> 20} MB")
        _write_all(base, line)

    yield from pack_sources(
        sources(), spec.uid, limits_of(spec), owners=Owners.ADOPT, seen=seen,
        absent=0o666 & ~spec.umask,
    )  # fmt: skip


def limits_of(spec: CarrySpec) -> TreeLimits:
    """Return the limits of the stream of the files that ``spec`` names."""
    return TreeLimits(entries=spec.entries + _ENCLOSING, size=spec.size_limit)


def open_parent(root: int, path: str, flags: int = os.O_PATH) -> tuple[int, bytes]:
    """Return the open directory in which ``path`` lies, reached without any link, and the name in it."""
    *above, name = (os.fsencode(each) for each in path.split("/")[1:])
    if not above:
        return os.open("/", flags | os.O_DIRECTORY | os.O_CLOEXEC), name
    try:
        return open_beneath(root, tuple(above), flags | os.O_DIRECTORY), name
    except OSError as error:
        raise CannotMove(f"{path} cannot be carried: {os.path.dirname(path)}: {error.strerror}") from error


def _target(root: int, paths: Sequence[str], path: tuple[bytes, ...]) -> str:
    """Return the target of the symbolic link at ``path`` of the stream."""
    top = os.fsencode(os.path.dirname(paths[int(path[0])])).strip(b"/")
    names = (*(top.split(b"/") if top else ()), *path[1:])
    try:
        link = open_beneath(root, names, os.O_PATH)
    except OSError:
        return ""
    try:
        return os.fsdecode(os.readlink(b"", dir_fd=link))
    except OSError:
        return ""
    finally:
        os.close(link)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
