"""
Puts the old names into a directory: ``python -m gom.openmosix.install [remove] DIRECTORY``.

Each is a small program for the Python that ran this. A file of that name that is not one of these is left
alone: on a machine that still has openMosix's own tools, theirs stay.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

NAMES = ("mosctl", "mosrun", "migrate", "mps")
USAGE = "usage: python -m gom.openmosix.install [remove] DIRECTORY"
#: By this line one of ours is known again.
_MARK = "# gomd: an old name of openMosix's, made by gom.openmosix.install"
_PROGRAM = """\
#!{python}
{mark}
import sys

from gom.openmosix.{name} import main

sys.exit(main())
"""


def main(argv: Sequence[str]) -> int:
    """Install or remove the names and return the exit status. Blocks."""
    words = list(argv)
    removes = words[:1] == ["remove"]
    if len(words) != 1 + removes or words[-1].startswith("-"):
        print(USAGE, file=sys.stderr)
        return 2
    try:
        for path in remove(words[-1]) if removes else install(words[-1], sys.executable):
            print(path)
    except OSError as error:
        print(f"the old names: {error}", file=sys.stderr)
        return 1
    return 0


def install(directory: str, python: str) -> list[str]:
    """
    Write the programs and return their paths. Blocks.

    :param python: the interpreter that has gomd.
    :raises OSError: one cannot be written, or is somebody else's; then none is.
    """
    if len(python) > 120 or any(char.isspace() for char in python) or not os.path.isabs(python):
        raise OSError(f"{python!r} cannot stand in the first line of a program: install gomd elsewhere")
    os.makedirs(directory, exist_ok=True)
    paths = [os.path.join(directory, name) for name in NAMES]
    for path in paths:
        if os.path.lexists(path) and not _is_ours(path):
            raise FileExistsError(f"{path} is another program: nothing is installed")
    for name, path in zip(NAMES, paths, strict=True):
        _write(path, _PROGRAM.format(python=python, mark=_MARK, name=name))
    return paths


def _write(path: str, text: str) -> None:
    """Write a program whole or not at all."""
    new = f"{path}.{os.getpid()}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o755)
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise


def remove(directory: str) -> list[str]:
    """Remove the programs that are ours and return their paths. Blocks. :raises OSError: one cannot be."""
    paths = [path for name in NAMES if _is_ours(path := os.path.join(directory, name))]
    for path in paths:
        os.unlink(path)
    return paths


def _is_ours(path: str) -> bool:
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return _MARK.encode() in file.read(4096)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
