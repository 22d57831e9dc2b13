"""`gom key` and `gom token` as command lines: their words, and what they print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gom.global_options import DONE, REFUSED, WrongUsage, fail
from libgomd.errors import ConfigError

#: How each of them is used.
USAGES: Final = {
    "key": "usage: gom key new FILE",
    "token": "usage: gom token add NAME ROLE | list | remove NAME [--file TOKENS]",
}


def key_command(words: Sequence[str]) -> int:
    """Make a key file. :raises WrongUsage: other words. :raises ConfigError: it cannot be made."""
    from gom import key

    if len(words) != 2 or words[0] != "new":
        raise WrongUsage(USAGES["key"])
    print(key.new(words[1]), flush=True)
    return DONE


def token_command(words: Sequence[str]) -> int:
    """Add, list or remove tokens. :raises WrongUsage: other words. :raises ConfigError: it cannot be done."""
    from gom import token

    path, rest = _take_file(words)
    match rest:
        case ["add", name, role]:
            try:
                token.check(name, role)
            except ConfigError as error:
                raise WrongUsage(str(error)) from error
            print(token.add(path or token.default_file(), name, role), flush=True)
        case ["remove", name]:
            token.remove(path or token.default_file(), name)
        case ["list"]:
            lines, mistakes = token.listing(path or token.default_file())
            for mistake in mistakes:
                fail(mistake, REFUSED)
            print("".join(f"{line}\n" for line in lines), end="", flush=True)
        case _:
            raise WrongUsage(USAGES["token"])
    return DONE


def _take_file(words: Sequence[str]) -> tuple[str, list[str]]:
    rest = list(words)
    if "--file" not in rest:
        return "", rest
    at = rest.index("--file")
    if at + 1 == len(rest):
        raise WrongUsage("--file needs the name of the tokens file")
    path = rest[at + 1]
    del rest[at : at + 2]
    return path, rest
