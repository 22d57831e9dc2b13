"""The writable files of the tree and their ranges, which are the same for every source."""

from __future__ import annotations

from typing import Final

from libgomd.errors import MalformedRequest, NotPossible
from libgomd.model import MAX_NODE_ID, MAX_SPEED
from libgomd.wire.tree import MAX_TREE_SPEED, Kind, TreePath

#: The target of a move to the process's home, as a word and as openMosix's number.
HOME_WORD: Final = "home"
HOME: Final = 0

_SWITCH: Final = range(2)
_U16: Final = range(1, MAX_TREE_SPEED + 1)
_NODE: Final = range(MAX_NODE_ID + 1)
_RANGES: Final = {
    Kind.ADMIN: {
        "stay": _SWITCH, "lstay": _SWITCH, "block": _SWITCH, "quiet": _SWITCH,
        "speed": _U16, "sspeed": _U16, "bring": range(1, 2), "expel": range(1, 2), "mospe": _NODE,
    },
    Kind.CLUSTER: {"lock": _SWITCH, "goto": _NODE, "migrate": _NODE},
}  # fmt: skip
#: Files that can be written but not read, because they are orders and not values.
_ORDERS: Final = frozenset({"bring", "expel", "goto", "migrate"})
_MAX_DIGITS: Final = 9


def check_speed(number: int) -> int:
    """Return ``number`` if it is a valid speed. :raises MalformedRequest: it is no valid speed."""
    if not 1 <= number <= MAX_SPEED:
        raise MalformedRequest(f"a speed is a whole number from 1 to {MAX_SPEED}, not {number}")
    return number


def written_number(path: TreePath, value: str) -> int:
    """
    Return the number that writing ``value`` to ``path`` sets.

    openMosix itself silently ignores a value that is out of range.

    :raises NotPossible: this file can only be read.
    :raises MalformedRequest: the value is out of range; the text gives the range.
    """
    allowed = _RANGES.get(path.kind, {}).get(path.name)
    if allowed is None:
        raise NotPossible(f"{path} can only be read; settings are in /proc/hpc/admin and /proc/PID/lock")
    if allowed is _NODE and path.kind is Kind.CLUSTER and value == HOME_WORD:
        return HOME
    if value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS and int(value) in allowed:
        return int(value)
    shown = repr(value if len(value) <= 40 else value[:37] + "...")
    raise MalformedRequest(f"{path} takes {_said(path, allowed)}, not {shown}")


def is_order(path: TreePath) -> bool:
    """Return whether ``path`` can be written but not read."""
    return path.kind in _RANGES and path.name in _ORDERS


def refuse_reading(path: TreePath) -> None:
    """
    Check that ``path`` can be read.

    :raises NotPossible: ``path`` is a directory, or can only be written.
    """
    if path.kind is Kind.DIRECTORY:
        raise NotPossible(f"{path} is a directory; `ls` shows what is in it")
    if is_order(path):
        raise NotPossible(f"{path} can only be written")


def _said(path: TreePath, allowed: range) -> str:
    if len(allowed) == 1:
        return "1 and nothing else"
    if len(allowed) == 2:
        return "0 or 1"
    if path.kind is Kind.CLUSTER:
        return f"a node id from 1 to {MAX_NODE_ID}, 0 or home"
    return f"a whole number from {allowed[0]} to {allowed[-1]}"
