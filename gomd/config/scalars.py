"""
Checks of single values: each turns a text of gomd.ini into a value, or raises `Refused` with what is allowed.

configobj's validate calls them with the arguments given in gomd.spec.ini, all of them strings.
"""

from __future__ import annotations

import re
from typing import Final

from configobj.validate import ValidateError

from libgomd.node_names import ALLOWED, is_node_name

#: Maximum length of any value, in characters.
MAX_VALUE: Final = 4096

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,9})?")
_YES_NO = {
    "yes": True, "on": True, "true": True, "1": True,
    "no": False, "off": False, "false": False, "0": False,
}  # fmt: skip


class Refused(ValidateError):
    """
    A value is not allowed. The text continues "KEY = VALUE:" and says what is allowed.

    :ivar secret: whether the value may contain a secret, so that no message may show it.
    """

    def __init__(self, message: str, secret: bool = False) -> None:
        super().__init__(message)
        self.secret = secret


def unquoted(value: str) -> str:
    """Return ``value`` without quotes that enclose all of it."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'" and value[0] not in value[1:-1]:
        return value[1:-1]
    return value


def listed(value: str) -> list[str]:
    """Return the comma-separated items without quotes. Empty items are dropped."""
    return [item for item in (unquoted(item.strip()) for item in unquoted(value).split(",")) if item]


def shown(text: str) -> str:
    """Return ``text`` quoted, escaped and shortened, for use in a message."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def whole_number(value: str, min: str, max: str) -> int:
    """Check an integer from ``min`` to ``max``."""
    text = unquoted(value)
    if not _INTEGER.fullmatch(text) or not int(min) <= int(text) <= int(max):
        raise Refused(f"must be a whole number from {min} to {max}")
    return int(text)


def decimal(value: str, min: str, max: str) -> float:
    """Check a number from ``min`` to ``max``, without an exponent."""
    text = unquoted(value)
    if not _DECIMAL.fullmatch(text) or not float(min) <= float(text) <= float(max):
        raise Refused(f"must be a number from {min} to {max}")
    return float(text)


def yes_no(value: str) -> bool:
    """Check a yes or no, in any of the usual spellings."""
    try:
        return _YES_NO[unquoted(value).lower()]
    except KeyError:
        raise Refused("must be yes or no") from None


def one_of(value: str, *allowed: str) -> str:
    """Check one of the words ``allowed``."""
    text = unquoted(value)
    if text not in allowed:
        raise Refused(f"must be {', '.join(allowed[:-1])} or {allowed[-1]}")
    return text


def stores(value: str, *allowed: str) -> tuple[str, ...]:
    """Check one or more of the words ``allowed``, each once; the last of them only stands alone."""
    items = tuple(listed(value))
    alone = allowed[-1]
    if (
        not items
        or any(item not in allowed for item in items)
        or len(set(items)) < len(items)
        or (alone in items and len(items) > 1)
    ):
        raise Refused(f"must be {' or '.join(allowed)}, or several with commas but {alone} alone")
    return items


def engines(value: str, *allowed: str) -> tuple[str, ...]:
    """Check one of the words ``allowed``, or several while a cluster changes from one to the other."""
    items = tuple(listed(value))
    if not items or any(item not in allowed for item in items) or len(set(items)) < len(items):
        raise Refused(
            f"must be {', '.join(allowed[:-1])} or {allowed[-1]}; two with a comma while a cluster changes"
        )
    return items


def string(value: str) -> str:
    """Check a printable text."""
    text = unquoted(value)
    if not text.isprintable() or len(text) > MAX_VALUE:
        raise Refused(f"must be at most {MAX_VALUE} printable characters")
    return text


def path(value: str) -> str:
    """Check the path of a file or directory, which need not exist. Relative paths are resolved later."""
    text = string(value)
    if text.startswith("~"):
        raise Refused("must be a whole path: ~ is not expanded here")
    return text


def paths(value: str) -> tuple[str, ...]:
    """Check a comma-separated list of paths."""
    return tuple(path(item) for item in listed(value))


def node_name(value: str) -> str:
    """Check the name of a node. Empty means the name of the host."""
    text = unquoted(value)
    if text and not is_node_name(text):
        raise Refused(ALLOWED)
    return text
