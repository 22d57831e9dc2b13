"""
The key file: the secret of a cluster, 32 random bytes in base64 on one line. Standard library only.

`libgomd.derivation` has the keys that are derived from it.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Callable
from typing import Final

from libgomd.durable import create_exclusively
from libgomd.edited import plain_bytes
from libgomd.errors import ConfigError

SECRET_LENGTH: Final = 32
#: Maximum size of a key file, in bytes. A longer file was named by mistake.
_MAX_FILE_BYTES: Final = 256
_HINT: Final = "`gom key new FILE` makes one"


def parse_key(data: bytes) -> bytes:
    """
    Return the 32 secret bytes in ``data``, the content of a key file.

    :raises ConfigError: it is not a key file. The text says what is wrong and never contains the secret.
    """
    try:
        text = plain_bytes(data).strip()
    except ValueError as error:
        raise ConfigError([f"it is not base64: {error}"]) from None
    if not text:
        raise ConfigError([f"it is empty: {_HINT}"])
    if len(text.split()) > 1:
        raise ConfigError(["it has more than one line or word: a key file is one line of base64"])
    try:
        secret = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError([f"it is not base64: {_HINT}"]) from None
    if len(secret) != SECRET_LENGTH:
        raise ConfigError([f"it has {len(secret)} bytes, not {SECRET_LENGTH}: {_HINT}"])
    return secret


def read_key_file(path: str, follow: bool = True) -> bytes:
    """
    Return the 32 secret bytes in the file at ``path``. Blocks.

    :param follow: whether ``path`` may be a symbolic link.
    :raises ConfigError: it cannot be read, is not a key, or others could read it too.
    """
    try:
        if not follow and os.path.islink(path):
            raise ConfigError(["it is a symbolic link, which it must not be"])
        # A FIFO must not block the start, so it is opened without waiting and then refused.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        number = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
        try:
            _check_owner(os.fstat(number))
            data = os.read(number, _MAX_FILE_BYTES + 1)
        finally:
            os.close(number)
        if len(data) > _MAX_FILE_BYTES:
            raise ConfigError([f"it is longer than any key: {_HINT}"])
        return parse_key(data)
    except (OSError, ValueError) as error:
        raise ConfigError([f"key file {path}: {_reason(error)}"]) from error
    except ConfigError as error:
        raise ConfigError([f"key file {path}: {error}"]) from None


def _check_owner(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(["it is not a file"])
    if found.st_uid not in (0, os.geteuid()):
        raise ConfigError([f"it belongs to user {found.st_uid}: chown it to the daemon's user"])
    if found.st_mode & 0o077:
        mode = f"{found.st_mode & 0o777:04o}"
        raise ConfigError([f"others may read or change it (its mode is {mode}): chmod 600 it"])


def new_key_file(path: str, random: Callable[[int], bytes] = os.urandom) -> None:
    """
    Make a new secret and write it to a new file at ``path``, mode 0600. Blocks.

    :raises ConfigError: ``path`` exists already, which is never overwritten, or it cannot be written.
    """
    line = base64.b64encode(random(SECRET_LENGTH)) + b"\n"
    try:
        create_exclusively(path, line)
    except FileExistsError:
        raise ConfigError(
            [f"{path} exists: a cluster's key is never overwritten; name another file or move it away"]
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError([f"cannot make {path}: {_reason(error)}"]) from error


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
