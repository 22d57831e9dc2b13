"""`gom token add|list|remove`: who may be more than anonymous over tcp, kept in the daemon's tokens file."""

from __future__ import annotations

import os

from gom.secretfiles import locked, replace
from libgomd.endpoints import state_directory
from libgomd.tokens import (
    FILE_NAME,
    Token,
    check_name,
    hash_token,
    new_token,
    parse_role,
    read_tokens,
    read_tokens_text,
    with_token,
    without_token,
)


def default_file() -> str:
    """Return the tokens file of the caller's own daemon, with its default settings."""
    return os.path.join(state_directory(os.environ, os.getuid()), FILE_NAME)


def check(name: str, role: str) -> None:
    """See that a token can be made. :raises ConfigError: the name or the role is none."""
    check_name(name)
    parse_role(role)


def add(path: str, name: str, role: str) -> str:
    """
    Make a token and keep its hash. Blocks.

    :returns: the token, which is nowhere else.
    :raises ConfigError: the role is none, the name has a token already, the file cannot be used.
    """
    token = new_token()
    kept = Token(name, parse_role(role), hash_token(token))
    with locked(path):
        replace(path, with_token(read_tokens_text(path), kept).encode())
    return token


def remove(path: str, name: str) -> None:
    """
    Take a token away. Blocks.

    :raises ConfigError: there is none of that name, or the file cannot be used.
    """
    with locked(path):
        replace(path, without_token(read_tokens_text(path), name).encode())


def listing(path: str) -> tuple[list[str], list[str]]:
    """Return the names and roles in a tokens file, a line each, and what is wrong in it. Blocks."""
    found = read_tokens(path)
    width = max((len(token.name) for token in found.tokens), default=0)
    lines = [f"{token.name:<{width}} {token.role.word}" for token in found.tokens]
    return lines, [f"{path}, {mistake}" for mistake in found.mistakes]
