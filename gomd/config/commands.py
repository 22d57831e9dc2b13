"""The check of a command in `[commands]`: turns a line in shell syntax into an argv that needs no shell."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from typing import Final

from gomd.config.scalars import MAX_VALUE, Refused, shown

#: Search path for programs named without a slash; the caller's PATH is never used.
COMMAND_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Names that `do` accepts.
COMMAND_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def command(value: str) -> tuple[str, ...]:
    """Check a command line. Its program is searched for now, not when the command is run."""
    if not value.isprintable() or len(value) > MAX_VALUE:
        raise Refused(f"must be at most {MAX_VALUE} printable characters")
    try:
        argv = shlex.split(value)
    except ValueError:
        raise Refused(
            "must have its quotes in pairs, as in a shell; a # begins a comment "
            "unless the whole value is between ''' and '''"
        ) from None
    if not argv or not argv[0]:
        raise Refused("must be a program and its arguments, such as /usr/bin/uptime")
    program = argv[0]
    if "/" in program and not os.path.isabs(program):
        raise Refused(
            f"must begin with an absolute path or a name without a slash; {shown(program)} is neither"
        )
    found = shutil.which(program, path=COMMAND_PATH)
    if found is None:
        where = "the file system, or not executable" if "/" in program else f"any directory of {COMMAND_PATH}"
        raise Refused(f"must begin with a program that exists; {shown(program)} is not in {where}")
    return (found, *argv[1:])
