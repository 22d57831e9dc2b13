"""The key files of the manhole: the authorized public keys, and the host key."""

from __future__ import annotations

import os
import stat
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.ssh.keys import BadKeyError, EncryptedKeyError, Key

from libgomd.durable import create_atomically
from libgomd.edited import plain_bytes
from libgomd.errors import ConfigError

#: The name of the host key's file in STATE.
HOST_KEY_FILE: Final = "manhole_host_key"
#: Longest file of either kind, in bytes.
MAX_FILE_BYTES: Final = 256 * 1024


def read_authorized_keys(path: str) -> tuple[Key, ...]:
    """
    Return the public keys in ``path``, one a line as in ssh's authorized_keys, at least one. Blocks.

    :raises ConfigError: it cannot be read, users other than root and this one may write it, a line is not a
        plain public key, or there is no key.
    """
    data = _read(path, "[manhole] authorized_keys", forbidden=0o022, fix="go-w")
    try:
        data = plain_bytes(data)
    except ValueError as error:
        raise ConfigError([f"{path}: {error}"]) from error
    keys = []
    for number, line in enumerate(data.split(b"\n"), 1):
        line = line.strip()
        if not line or line.startswith(b"#"):
            continue
        try:
            key = Key.fromString(line)
            if not key.isPublic():
                raise BadKeyError("it is not a public key")
        except Exception as error:  # conch passes on the errors of its parsers
            raise ConfigError(
                [
                    f"{path}, line {number}: not a public key ({_reason(error)}): write the key's type, "
                    "the key and a comment, without options before them"
                ]
            ) from error
        keys.append(key)
    if not keys:
        raise ConfigError([f"{path} has no public key in it: nobody could log in to the manhole"])
    return tuple(keys)


def _reason(error: Exception) -> str:
    return str(error)[:100] if isinstance(error, BadKeyError) else type(error).__name__


def take_host_key(state: str) -> Key:
    """
    Return the host key in the directory ``state``; if it is missing, make one (Ed25519, 0600). Blocks.

    :raises ConfigError: it cannot be made or read, others may read it, or it is not a key.
    """
    path = os.path.join(state, HOST_KEY_FILE)
    if not os.path.lexists(path):
        _make_host_key(state, path)
    try:
        data = _read(path, "the host key of the manhole", forbidden=0o077, fix="go=", links=False)
        key: Key = Key.fromString(data)
    except (BadKeyError, EncryptedKeyError, ValueError) as error:
        raise ConfigError(
            [f"{path} is not a host key: remove it, and the next start makes a new one"]
        ) from error
    return key


def _make_host_key(state: str, path: str) -> None:
    data = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    try:
        create_atomically(path, data)
    except OSError as error:
        raise ConfigError(
            [f"the host key of the manhole cannot be kept in {state} ({error.strerror})"]
        ) from error


def _read(path: str, what: str, *, forbidden: int, fix: str, links: bool = True) -> bytes:
    """Return a file's bytes. :raises ConfigError: it is not a file, or has a mode bit of ``forbidden``."""
    try:
        # A fifo must not block the start, so it is opened without waiting, and refused.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        descriptor = os.open(path, flags if links else flags | os.O_NOFOLLOW)
    except OSError as error:
        raise ConfigError([f"{path} cannot be opened ({error.strerror}): see {what}"]) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError([f"{path} is not a file: see {what}"])
        if found.st_uid not in (0, os.geteuid()):
            raise ConfigError([f"{path} belongs to user {found.st_uid}: it must be root's or gomd's own"])
        if found.st_mode & forbidden:
            raise ConfigError([f"{path} is open to others: chmod {fix} {path}"])
        if found.st_size > MAX_FILE_BYTES:
            raise ConfigError([f"{path} has more than {MAX_FILE_BYTES} bytes: see {what}"])
        return os.read(descriptor, MAX_FILE_BYTES)
    except OSError as error:
        raise ConfigError([f"{path} cannot be read ({error.strerror}): see {what}"]) from error
    finally:
        os.close(descriptor)
