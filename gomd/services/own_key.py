"""STATE/key: the key a daemon makes for itself when none is configured, and keeps from then on."""

from __future__ import annotations

import base64
import contextlib
import os
from typing import Final

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
            _make(path)
        except OSError as error:
            raise ConfigError([f"cannot make {path}, the daemon's own key: {error.strerror}"]) from error
    try:
        return read_key_file(path, follow=False)
    except ConfigError as error:
        raise ConfigError([f"{error}; or move it away, and the daemon makes a new one"]) from None


def _make(path: str) -> None:
    """Write a new secret. After a crash at any time, the file is complete or missing."""
    new = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)  # left by a crash
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    number = os.open(new, flags, 0o600)
    try:
        os.write(number, base64.b64encode(os.urandom(SECRET_LENGTH)) + b"\n")
        os.fsync(number)
    finally:
        os.close(number)
    try:
        os.link(new, path)  # unlike a rename, a link never replaces a file
    except FileExistsError:
        raise
    except OSError:  # a file system without links; only this daemon makes files in its STATE
        os.rename(new, path)
    else:
        os.unlink(new)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
