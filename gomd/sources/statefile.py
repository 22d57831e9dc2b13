"""Small JSON files in STATE, replaced whole so that a crash leaves the old or the new content."""

from __future__ import annotations

import json
import os
from typing import Final

from libgomd.durable import replace_durably
from libgomd.private import make_private_directory

#: Maximum size of a state file, in bytes.
_MAX_STATE_BYTES: Final = 64 * 1024


def load_state(path: str) -> dict[str, object]:
    """
    Return the object that was last stored in ``path``. Blocks.

    :raises FileNotFoundError: nothing was stored yet.
    :raises OSError: it cannot be read.
    :raises ValueError: the file is not valid, because it was cut or edited.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        data = file.read(_MAX_STATE_BYTES + 1)
    if len(data) > _MAX_STATE_BYTES:
        raise ValueError(f"larger than {_MAX_STATE_BYTES} bytes")
    try:
        value = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not an object of names and values")
    return value


def store_state(path: str, value: dict[str, object]) -> None:
    """
    Replace the file at ``path``, readable by its owner only. Blocks until it is on the disk.

    :raises OSError: it could not be stored; the old file is unchanged.
    """
    make_private_directory(os.path.dirname(path))
    replace_durably(path, json.dumps(value, indent=1).encode("ascii") + b"\n")
