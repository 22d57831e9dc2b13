"""The directories in which each side of a migration keeps criu's images of a job."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from gomd.interfaces import IThreads
from gomd.jobs.checkpoint.images import Images
from libgomd.errors import CannotMove
from libgomd.private import make_private_directory

#: Seconds that reading, writing or removing the images of one job may take.
FILES_TIMEOUT: Final = 120.0


class ImageDirectories:
    """
    One directory for each side of each migration, below one of the spool.

    :param root: the directory below which they are. :param node: what a message calls this node.
    """

    def __init__(self, threads: IThreads, root: str, node: str) -> None:
        self._threads = threads
        self._root = root
        self._node = node

    @property
    def node(self) -> str:
        """This node as messages name it."""
        return self._node

    @property
    def root(self) -> str:
        """The directory below which they are; it may not exist yet."""
        return self._root

    def path(self, migration: str, role: str) -> str:
        """Return the directory of one side of a migration. :param role: ``source`` or ``target``."""
        return os.path.join(self._root, f"{migration}.{role}")

    async def make(self, migration: str, role: str) -> str:
        """Make the directory, empty, and return its path. :raises CannotMove: the disk does not allow it."""
        path = self.path(migration, role)
        try:
            await self._threads.run(FILES_TIMEOUT, _make, path)
        except OSError as error:
            raise CannotMove(f"{self._node}: {path}: {error.strerror}") from error
        return path

    async def read(self, migration: str, role: str) -> dict[str, bytes]:
        """Return criu's images there, but for the memory. :raises CannotMove: they cannot be read."""
        path = self.path(migration, role)
        images: Images = await self._threads.run(FILES_TIMEOUT, Images.read, path)
        return dict(images.files)

    async def write(self, migration: str, role: str, files: Mapping[str, bytes]) -> str:
        """Write the files from the other node; return the directory. :raises CannotMove: invalid name."""
        path = self.path(migration, role)
        await self._threads.run(FILES_TIMEOUT, Images(dict(files)).write, path)
        return path

    async def remove(self, migration: str, role: str) -> None:
        """Remove a directory with all that is in it. Nothing happens if there is none."""
        await self.remove_path(self.path(migration, role))

    async def remove_path(self, path: str) -> None:
        """Remove a directory that `leftovers` has found."""
        await self._threads.run(FILES_TIMEOUT, shutil.rmtree, path, True)

    async def make_root(self) -> str:
        """Make the directory below which they are; return its path. :raises OSError: it cannot be made."""
        await self._threads.run(FILES_TIMEOUT, make_private_directory, self._root)
        return self._root

    def leftovers(self, known: Collection[tuple[str, str]]) -> Sequence[str]:
        """
        Return the paths of the directories that belong to no migration in ``known``. Blocks briefly.

        Names with a dot before them are no migration's: notes of probes, and what criu knows of the kernel.

        :param known: id and role of each migration that the journal knows.
        """
        names = {f"{migration}.{role}" for migration, role in known}
        try:
            found = {name for name in os.listdir(self._root) if not name.startswith(".")} - names
        except OSError:
            return ()
        return [os.path.join(self._root, name) for name in sorted(found)]


def _make(path: str) -> None:
    make_private_directory(os.path.dirname(path))
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path, 0o700)
