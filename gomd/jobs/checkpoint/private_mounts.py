"""Which temporary directories a job has of its own, and what of the machine's is shown there. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

#: The directories of which a job gets its own.
TEMPORARY: Final = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - names that are compared


def place_of(path: str) -> str:
    """Return which of `TEMPORARY` the path is below, empty when it is below none."""
    return next((place for place in TEMPORARY if path.startswith(place + "/")), "")


@dataclass(frozen=True, slots=True)
class PrivateView:
    """
    What a job sees in place of the machine's temporary directories.

    :ivar places: those of `TEMPORARY` that are its own.
    :ivar shown: paths in them that are the machine's after all, as the job names them.
    """

    places: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()

    def has(self, path: str) -> bool:
        """Whether ``path`` is in a directory that the job has of its own, or is one."""
        if path in self.places:
            return True
        return place_of(path) in self.places and not any(
            path == each or path.startswith(each + "/") for each in self.shown
        )


#: What a job sees that shares all of the machine's temporary directories.
NOTHING_PRIVATE: Final = PrivateView()


class _Mount(NamedTuple):
    number: str
    parent: str
    identity: tuple[str, str]
    point: str


def private_view(mountinfo: str, own: str) -> PrivateView:
    """
    Return what a job sees, given /proc/PID/mountinfo of one of its processes and of this one.

    A directory is the job's own when something else is mounted there than this process sees.
    """
    mounts, ours = list(_mounts(mountinfo)), {each.point: each.identity for each in _mounts(own)}
    top = {each.point: each for each in mounts if each.point in TEMPORARY}
    private = {point: each for point, each in top.items() if ours.get(point) != each.identity}
    numbers = {each.number for each in private.values()}
    shown = {each.point: None for each in mounts if each.parent in numbers and place_of(each.point)}
    return PrivateView(tuple(place for place in TEMPORARY if place in private), tuple(shown))


def _mounts(text: str) -> Iterator[_Mount]:
    for line in text.split("\n"):
        words = line.split(" ", 5)
        if len(words) == 6:
            yield _Mount(words[0], words[1], (words[2], words[3]), _plain(words[4]))


def _plain(text: str) -> str:
    """Return an unescaped path. The kernel writes spaces and the like as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
