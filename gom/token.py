"""`gom token add|list|remove`: edits the daemon's tokens file, which gives callers over tcp a role."""

from __future__ import annotations

import os
import pwd

from gom.secretfiles import locked, replace
from libgomd.endpoints import state_directory
from libgomd.errors import ConfigError
from libgomd.model import Role, is_system_user
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
    """Return the default tokens file of the caller's own daemon."""
    return os.path.join(state_directory(os.environ, os.getuid()), FILE_NAME)


def check(name: str, role: str) -> None:
    """
    Check that a token can be made. May block on a directory server.

    :raises ConfigError: the name or role is not valid, or the token would grant the rights of a system user.
    """
    check_name(name)
    if parse_role(role) is Role.USER and (name == "root" or is_system_user(_uid_of(name))):
        raise ConfigError(
            [
                f"{name} is a user of the system itself, and a token of role user is for a person: "
                f"choose the name of one, or `gom token add {name} admin`"
            ]
        )


def _uid_of(name: str) -> int | None:
    """Return the user id of ``name`` on this machine, None if there is no such user."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def add(path: str, name: str, role: str) -> str:
    """
    Make a token and store its hash. Blocks.

    :returns: the token, which is not stored anywhere.
    :raises ConfigError: the role is not valid, the name has a token already, or the file cannot be used.
    """
    check(name, role)
    token = new_token()
    kept = Token(name, parse_role(role), hash_token(token))
    with locked(path):
        replace(path, with_token(read_tokens_text(path), kept).encode())
    return token


def remove(path: str, name: str) -> None:
    """
    Remove a token. Blocks.

    :raises ConfigError: there is no token of that name, or the file cannot be used.
    """
    with locked(path):
        replace(path, without_token(read_tokens_text(path), name).encode())


def listing(path: str) -> tuple[list[str], list[str]]:
    """Return the names and roles in a tokens file, a line each, and its mistakes. Blocks."""
    found = read_tokens(path)
    width = max((len(token.name) for token in found.tokens), default=0)
    lines = [f"{token.name:<{width}} {token.role.word}" for token in found.tokens]
    return lines, [f"{path}, {mistake}" for mistake in found.mistakes]
