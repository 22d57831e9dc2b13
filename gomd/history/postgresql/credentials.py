"""The password of the database: read from its file when a connection is made, and kept nowhere."""

from __future__ import annotations

import os
import stat
from typing import Final

from libgomd.errors import ConfigError
from libgomd.private import open_private

#: The longest password, in bytes.
MAX_PASSWORD: Final = 1024


def read_password(path: str) -> str:
    """
    Return the password in the file at ``path``: its first line; empty when no file is configured. Blocks.

    :raises ConfigError: it cannot be read, has no password, or others may read it; the text has no password.
    """
    if not path:
        return ""
    try:
        descriptor = open_private(path)
    except OSError as error:
        raise ConfigError([f"[history] password_file {path}: {error.strerror or error}"]) from error
    try:
        found = os.fstat(descriptor)
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(
                [
                    f"[history] password_file {path}: others may use it (its mode is "
                    f"{stat.S_IMODE(found.st_mode):04o}): chmod 600 {path}"
                ]
            )
        data = os.read(descriptor, MAX_PASSWORD + 2)
    finally:
        os.close(descriptor)
    line = data.split(b"\n", 1)[0].rstrip(b"\r")
    try:
        password = line.decode()
    except UnicodeDecodeError:
        password = ""
    if not password or "\0" in password or len(line) > MAX_PASSWORD:
        raise ConfigError(
            [f"[history] password_file {path}: its first line must be the password, in UTF-8"]
        ) from None
    return password
