"""How many bytes of files may move with a job."""

from __future__ import annotations

from typing import Final

#: Bytes of the large images of a job at most, and of the files of one whose node gives jobs no directories.
MAX_IMAGE_BYTES: Final = 1 << 30


def largest(private_tmp: int) -> int:
    """Return how many bytes of files may move with a job. :param private_tmp: as configured, 0 or more."""
    return private_tmp or MAX_IMAGE_BYTES
