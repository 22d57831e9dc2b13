"""
Installs openMosix's commands into a directory: ``python -m gom.openmosix.install [remove] DIRECTORY``.

Each command is a small program for the Python interpreter that runs this module. A file of the same name
that this module did not write is left alone, so a machine that still has openMosix's own tools keeps them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from libgomd.durable import replace_atomically

NAMES = ("mosctl", "mosrun", "migrate", "mps")
USAGE = "usage: python -m gom.openmosix.install [remove] DIRECTORY"
#: A file that contains this line was written by this module.
_MARK = "# gomd: an old name of openMosix's, made by gom.openmosix.install"
_PROGRAM = """\
#!{python}
{mark}
import sys

from gom.openmosix.{name} import main

sys.exit(main())
"""


def main(argv: Sequence[str]) -> int:
    """Install or remove the commands and return the exit status. Blocks."""
    words = list(argv)
    removes = words[:1] == ["remove"]
    if len(words) != 1 + removes or words[-1].startswith("-"):
        print(USAGE, file=sys.stderr)
        return 2
    try:
        for path in remove(words[-1]) if removes else install(words[-1], sys.executable):
            print(path)
    except OSError as error:
        print(f"cannot change openMosix's commands: {error}", file=sys.stderr)
        return 1
    return 0


def install(directory: str, python: str) -> list[str]:
    """
    Write the programs and return their paths. Blocks.

    :param python: the interpreter that has gomd.
    :raises OSError: one cannot be written, or a file of that name is another program; then none is
        written.
    """
    if len(python) > 120 or any(char.isspace() for char in python) or not os.path.isabs(python):
        raise OSError(f"{python!r} cannot stand in the first line of a program: install gomd elsewhere")
    os.makedirs(directory, exist_ok=True)
    paths = [os.path.join(directory, name) for name in NAMES]
    for path in paths:
        if os.path.lexists(path) and not _is_ours(path):
            raise FileExistsError(f"{path} is another program: nothing is installed")
    for name, path in zip(NAMES, paths, strict=True):
        replace_atomically(path, _PROGRAM.format(python=python, mark=_MARK, name=name).encode(), mode=0o755)
    return paths


def remove(directory: str) -> list[str]:
    """
    Remove the programs that `install` wrote and return their paths. Blocks.

    :raises OSError: one cannot be removed.
    """
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
