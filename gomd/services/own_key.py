"""STATE/key: the key a daemon makes for itself when none is configured, and keeps from then on."""

from __future__ import annotations

import base64
import contextlib
import os
from typing import Final

from libgomd.errors import ConfigError
from libgomd.keys import SECRET_LENGTH, read_key_file

#: Its name in STATE.
NAME: Final = "key"


def own_key_file(state: str) -> str:
    """Return the path of a daemon's own key in the directory ``state``."""
    return os.path.join(state, NAME)


def own_secret(state: str) -> bytes:
    """
    Return the 32 secret bytes in STATE/key, which is made where there is none. Blocks.

    Call it with STATE taken: no other daemon may make the file at the same time.

    :raises ConfigError: there is something at its place that cannot be used, or it cannot be made. Nothing
        that is there is ever overwritten: programs and other daemons may have been given it.
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
        raise ConfigError([f"{error}; or move it away, and the daemon makes itself another one"]) from None


def _make(path: str) -> None:
    """Write a new secret: under its name there is all of it or nothing, whenever the machine stops."""
    new = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)  # what a crash left
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    number = os.open(new, flags, 0o600)
    try:
        os.write(number, base64.b64encode(os.urandom(SECRET_LENGTH)) + b"\n")
        os.fsync(number)
    finally:
        os.close(number)
    try:
        os.link(new, path)  # unlike a rename it never takes the place of a file
    except FileExistsError:
        raise
    except OSError:  # a file system without links; nobody but this daemon makes files in its STATE
        os.rename(new, path)
    else:
        os.unlink(new)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
