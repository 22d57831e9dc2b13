"""
The format of STATE. An upgrade raises it when an older gomd could no longer read what the newer one writes.

The file STATE/format has the number of the format and the version of the last gomd that used STATE. A STATE
without it is from before, and every gomd can read it.
"""

from __future__ import annotations

import os
import re
from typing import Final

from libgomd.durable import replace_durably
from libgomd.errors import ConfigError
from libgomd.private import open_private
from libgomd.version import VERSION

#: What this gomd writes, and the highest that it can read.
FORMAT: Final = 1
_NAME: Final = "format"
_CONTENT: Final = re.compile(rb"([0-9]{1,6}) ([0-9A-Za-z.+~-]{1,40})\n")


def check_format(state: str) -> None:
    """
    Check that this gomd can read STATE. Blocks briefly.

    :raises ConfigError: a newer gomd has used it, or the file is damaged or cannot be read.
    """
    path = os.path.join(state, _NAME)
    try:
        with open(open_private(path), "rb") as file:
            found = _CONTENT.fullmatch(file.read(100))
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(
            [f"{path} cannot be read ({error.strerror}): correct that, or remove it"]
        ) from error
    if found is None:
        raise ConfigError(
            [f"{path} is damaged: remove it if no gomd newer than {VERSION} has used this STATE"]
        )
    if int(found[1]) > FORMAT:
        newer = found[2].decode()
        raise ConfigError(
            [f"STATE {state} was used by gomd {newer}, which is newer and writes what gomd {VERSION} cannot "
             f"read: install gomd {newer} again, or set [node] state_dir to another directory"]
        )  # fmt: skip


def sign_format(state: str) -> None:
    """Write that this gomd uses STATE, if that is not written yet. Blocks. No error: it is not vital."""
    path, content = os.path.join(state, _NAME), f"{FORMAT} {VERSION}\n".encode()
    try:
        with open(open_private(path), "rb") as file:
            if file.read(100) == content:
                return
    except OSError:
        pass
    try:
        replace_durably(path, content)
    except OSError:
        return  # a full disk: the next start tries again
