"""criu's images of a job without its memory: the few files that travel in a message between two daemons."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from libgomd.errors import CannotMove

#: Number of images beside the memory's pages.
MAX_IMAGES: Final = 4096
#: Bytes beyond which an image is sent with the temporary files of a job instead, if there are any.
LARGE_IMAGE_BYTES: Final = 1 << 20
#: Bytes of all of them together.
MAX_SIZE: Final = 64 * 1024 * 1024
_NAME = re.compile(r"[a-z][a-z0-9-]{0,60}\.img|stats-dump|handover\.json")


def is_image_name(name: bytes) -> bool:
    """Whether ``name`` is one of criu's images, which another node may send."""
    return _NAME.fullmatch(name.decode("ascii", "replace")) is not None


def large_images(directory: str) -> list[str]:
    """Return the names of the images in ``directory`` that are large, sorted. Blocks briefly."""
    return sorted(
        entry.name
        for entry in os.scandir(directory)
        if _NAME.fullmatch(entry.name) and entry.stat(follow_symlinks=False).st_size > LARGE_IMAGE_BYTES
    )


@dataclass(frozen=True, slots=True)
class Images:
    """The images that belong to a dump's pages: name to bytes. The pages themselves go to the page server."""

    files: Mapping[str, bytes]

    @classmethod
    def read(cls, directory: str) -> Images:
        """
        Read what a dump left in ``directory``. Blocks.

        :raises CannotMove: they are too large for a message to the other node.
        """
        files, left = {}, MAX_SIZE
        for name in sorted(os.listdir(directory)):
            if not _NAME.fullmatch(name):
                continue
            with open(os.path.join(directory, name), "rb") as file:
                files[name] = file.read(left + 1)
            left -= len(files[name])
            if left < 0 or len(files) > MAX_IMAGES:
                raise CannotMove("its images are too large: it has too many files or processes")
        return cls(files)

    def write(self, directory: str) -> None:
        """
        Write them beside the pages in ``directory``. Blocks.

        :raises CannotMove: a name is not one of criu's. :raises OSError: the disk is full.
        """
        for name, data in self.files.items():
            if not _NAME.fullmatch(name):
                raise CannotMove("the other node sent a file that is not an image of criu's")
            number = os.open(
                os.path.join(directory, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600
            )
            with open(number, "wb") as file:
                file.write(data)
