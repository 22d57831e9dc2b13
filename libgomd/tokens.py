"""
The tokens file, which gives callers over tcp a role.

Each line is a token, ``NAME ROLE HASH``. Empty lines and lines that begin with ``#`` are preserved. HASH is
``sha256:SALT:DIGEST``. One round of SHA-256 is sufficient, which it would not be for passwords: a token is
32 random bytes from the kernel, and nobody can guess one of 2**256. The daemon checks a token in
microseconds, and a stolen file reveals no token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import stat
from collections.abc import Iterable
from typing import Final, NamedTuple

from libgomd.edited import plain_bytes
from libgomd.errors import ConfigError
from libgomd.model import Role

#: The tokens file in STATE, unless `[telnet] tokens_file` names another.
FILE_NAME: Final = "tokens"
#: Roles that a token can give.
ROLES: Final = (Role.READ, Role.USER, Role.ADMIN)
#: Maximum size of a tokens file, in bytes.
MAX_FILE_BYTES: Final = 1024 * 1024

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")
_HASH = re.compile(r"sha256:([0-9a-f]{32}):([0-9a-f]{64})")


class Token(NamedTuple):
    """A token as the file stores it: its name, its role and its hash, but not the token itself."""

    name: str
    role: Role
    hash: str


class TokensFile(NamedTuple):
    """The tokens of a file, and a sentence for each line that is not valid."""

    tokens: tuple[Token, ...]
    mistakes: tuple[str, ...]


def new_token() -> str:
    """Return a new random token: 43 characters that never need quoting."""
    return base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()


def hash_token(token: str, salt: bytes | None = None) -> str:
    """Return the hash of ``token`` for the file. ``salt`` is 16 bytes, random unless given."""
    salt = os.urandom(16) if salt is None else salt
    digest = hashlib.sha256(salt + token.encode("utf-8", "backslashreplace"))
    return f"sha256:{salt.hex()}:{digest.hexdigest()}"


def find_token(tokens: Iterable[Token], given: str) -> Token | None:
    """
    Return the one of ``tokens`` that matches ``given``, or None.

    The time does not depend on its position.
    """
    found = None
    for token in tokens:
        match = _HASH.fullmatch(token.hash)
        if match and hmac.compare_digest(hash_token(given, bytes.fromhex(match[1])), token.hash):
            found = token
    return found


def parse_role(text: str) -> Role:
    """Return the role with this name. :raises ConfigError: a token cannot give it."""
    for role in ROLES:
        if role.word == text:
            return role
    raise ConfigError([f"{text!r} is no role: use {', '.join(role.word for role in ROLES)}"])


def check_name(name: str) -> str:
    """Return ``name``. :raises ConfigError: it cannot be a token's name."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            [f"{name!r} cannot be a token's name: at most 64 letters, digits and any of _ . @ -, no - first"]
        )
    return name


def parse_tokens(text: str) -> TokensFile:
    """Return the tokens in ``text``. A line that is not valid is reported and gives no role."""
    tokens: dict[str, Token] = {}
    mistakes = []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            token = _parse_line(words)
            if token.name in tokens:
                raise ConfigError([f"{token.name} has a token already"])
            tokens[token.name] = token
        except ConfigError as error:
            mistakes.append(f"line {number} is ignored: {error}")
    return TokensFile(tuple(tokens.values()), tuple(mistakes))


def _parse_line(words: list[str]) -> Token:
    if len(words) != 3:
        raise ConfigError([f"expected NAME ROLE HASH, found {len(words)} words"])
    name, role, hashed = words
    if not _HASH.fullmatch(hashed):
        raise ConfigError(["the third word is no hash: make tokens with `gom token add`"])
    return Token(check_name(name), parse_role(role), hashed)


def with_token(text: str, token: Token) -> str:
    """Return ``text`` with one more line. :raises ConfigError: the name has a token already."""
    if any(known.name == token.name for known in parse_tokens(text).tokens):
        raise ConfigError([f"{token.name} has a token already: `gom token remove {token.name}` first"])
    if text and not text.endswith("\n"):
        text += "\n"
    return text + f"{token.name} {token.role.word} {token.hash}\n"


def without_token(text: str, name: str) -> str:
    """Return ``text`` without the lines of ``name``. :raises ConfigError: there are none."""
    lines = text.split("\n")
    kept = [line for line in lines if line.split()[:1] != [name]]
    if name.startswith("#") or kept == lines:
        raise ConfigError([f"{name} has no token: `gom token list` shows who has"])
    return "\n".join(kept)


def read_tokens(path: str) -> TokensFile:
    """
    Read a tokens file. A missing file has no tokens. Blocks.

    :raises ConfigError: it cannot be read, or others than its owner may read or write it.
    """
    return parse_tokens(read_tokens_text(path))


def read_tokens_text(path: str) -> str:
    """Return the text of a tokens file, empty if it is missing. Errors as in `read_tokens`. Blocks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError([f"the tokens file {path} cannot be opened: {error.strerror}"]) from error
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise ConfigError([f"the tokens file {path} is not a file"])
        if state.st_mode & 0o077:
            raise ConfigError([f"the tokens file {path} is open to others: chmod 600 {path}"])
        if state.st_uid not in (0, os.geteuid()):
            raise ConfigError(
                [f"the tokens file {path} belongs to another user: chown it to the user that runs gomd"]
            )
        if state.st_size > MAX_FILE_BYTES:
            raise ConfigError([f"the tokens file {path} has more than {MAX_FILE_BYTES} bytes"])
        return plain_bytes(os.read(descriptor, MAX_FILE_BYTES)).decode("utf-8", "backslashreplace")
    except ValueError as error:
        raise ConfigError([f"the tokens file {path}: {error}"]) from error
    except OSError as error:
        raise ConfigError([f"the tokens file {path} cannot be read: {error.strerror}"]) from error
    finally:
        os.close(descriptor)
