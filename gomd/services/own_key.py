"""STATE/key: the key a daemon makes for itself when none is configured, and keeps from then on."""

from __future__ import annotations

import base64
import os
from typing import Final

from libgomd.durable import create_atomically
from libgomd.errors import ConfigError
from libgomd.keys import SECRET_LENGTH, read_key_file

#: Name of the file in STATE.
KEY_FILE: Final = "key"


def own_key_file(state: str) -> str:
    """Return the path of a daemon's own key in the directory ``state``."""
    return os.path.join(state, KEY_FILE)


def own_secret(state: str) -> bytes:
    """
    Return the 32 secret bytes in STATE/key, which is made if it is missing. Blocks.

    Call it after STATE was taken, so that no other daemon makes the file at the same time.

    :raises ConfigError: the file cannot be used, or cannot be made. An existing file is never overwritten,
        because programs and other daemons may use it.
    """
    path = own_key_file(state)
    if not os.path.lexists(path):
        try:
            # Never a part of a key under this name: the next start would refuse it.
            create_atomically(path, base64.b64encode(os.urandom(SECRET_LENGTH)) + b"\n")
        except OSError as error:
            raise ConfigError([f"cannot make {path}, the daemon's own key: {error.strerror}"]) from error
    try:
        return read_key_file(path, follow=False)
    except ConfigError as error:
        raise ConfigError([f"{error}; or move it away, and the daemon makes a new one"]) from None
