"""`gom mount`: mounts the tree at a directory and serves it until it is unmounted."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from gom.mount.file_system import library, operations
from gom.mount.tree_files import TreeFiles
from libgomd import blocking
from libgomd.errors import MalformedRequest, NotPossible
from libgomd.wire.text import printable

TIMEOUT: Final = 5.0
MAX_TIMEOUT: Final = 300.0
USAGE: Final = f"""\
usage: gom mount [-f] [--timeout SECONDS] [--allow-other] DIR

  -f                 stay in the foreground; by default gom goes into the background once it is mounted
  --timeout SECONDS  for each answer of the daemon; {TIMEOUT:g} unless said, at most {MAX_TIMEOUT:g}
  --allow-other      let other users read, WITH YOUR RIGHTS: they see what you may see. Only you can write

Makes the tree of the daemon files below DIR, with openMosix's names of /proc: hpc/nodes/ID/load, PID/where,
PID/goto, hpc/info/loads ... `umount DIR` (for others than root `fusermount3 -u DIR`) ends it. Every request
has your rights. A daemon that is away or slow costs the timeout: programs get an error and do not hang.

Needs libfuse and a library for it: apt install python3-fusepy, or pip install 'gomd[mount]'.

Exit status: 0 mounted, or with -f unmounted; 1 it cannot be mounted, 2 wrong usage, 3 no daemon there.
"""


class MountOptions(NamedTuple):
    """What `gom mount` was told."""

    directory: str
    foreground: bool = False
    timeout: float = TIMEOUT
    allows_others: bool = False


def parse(words: Sequence[str]) -> MountOptions:
    """Return the options. :raises MalformedRequest: one is unknown or wrong."""
    rest, found = list(words), MountOptions("")
    while rest:
        option, joined, value = rest.pop(0).partition("=")
        if option == "-f" and not joined:
            found = found._replace(foreground=True)
        elif option == "--allow-other" and not joined:
            found = found._replace(allows_others=True)
        elif option == "--timeout":
            found = found._replace(timeout=_seconds(value if joined else rest.pop(0) if rest else ""))
        elif option.startswith("-") or joined or found.directory:
            raise MalformedRequest(f"gom mount: {option[:40]} is no option; see `gom mount --help`")
        else:
            found = found._replace(directory=option)
    if not found.directory:
        raise MalformedRequest("gom mount needs a directory; see `gom mount --help`")
    return found


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= MAX_TIMEOUT:
        raise MalformedRequest(f"--timeout is seconds from 0.1 to {MAX_TIMEOUT:g}")
    return seconds


def mount(endpoint: str | None, token: str, options: MountOptions) -> int:
    """
    Mount the tree, and return the exit status. Blocks until it is mounted, or with -f until it is unmounted.

    :param endpoint: None for the places where `gom` looks.
    :raises GomdError: it cannot be mounted, or there is no daemon.
    """
    fuse = library()
    directory = os.path.abspath(options.directory)
    if not os.path.isdir(directory):
        raise NotPossible(f"{directory} is no directory: make it first")
    if os.listdir(directory):
        raise NotPossible(f"{directory} is not empty: what is in it would be hidden")

    def connect(seconds: float) -> blocking.Client:
        return blocking.connect(endpoint, token or None, seconds)

    connect(options.timeout).close()  # where no daemon is, nothing is mounted
    files = TreeFiles(connect, options.timeout)
    served = operations(fuse, files, os.getuid(), os.getgid(), options.allows_others)
    more = {"allow_other": True} if options.allows_others else {}
    try:
        fuse.FUSE(
            served, directory, raw_fi=True, foreground=options.foreground, fsname="gomd", subtype="gomd",
            entry_timeout=0, attr_timeout=0, **more,
        )  # fmt: skip
    except RuntimeError as error:
        print(
            f"gom: {printable(directory)} cannot be mounted ({error}): fusermount3 said why", file=sys.stderr
        )
        return 1
    return 0
