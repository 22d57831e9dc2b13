"""
JSON objects as named tuples: `read` with one reader for each name, which returns the value or raises.

An error, always `MalformedFrame`, names the field. Standard library only: this runs beside every job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from libgomd.wire.frames import MalformedFrame

T = TypeVar("T")
Reader = Callable[[Any, str], Any]


def read(kind: type[T], told: object, readers: Mapping[str, Reader]) -> T:
    """
    Return the named tuple ``kind`` that a JSON object describes.

    Names that are not fields are ignored; a name that is missing, or null, has its field's default.

    :raises MalformedFrame: it is no object, a name without a default is missing, or a value is none.
    """
    if not isinstance(told, dict):
        raise MalformedFrame(f"a {kind.__name__} that is no object")
    found: dict[str, Any] = {}
    for name in kind._fields:  # type: ignore[attr-defined]
        value = told.get(name)
        if value is not None:
            found[name] = readers[name](value, name)
        elif name not in kind._field_defaults:  # type: ignore[attr-defined]
            raise MalformedFrame(f"a {kind.__name__} without its {name}")
    return kind(**found)


def text(value: object, name: str) -> str:
    """Return a string."""
    if not isinstance(value, str):
        raise MalformedFrame(f"{name} is text, not {value!r:.40}")
    return value


def flag(value: object, name: str) -> bool:
    """Return a boolean."""
    if not isinstance(value, bool):
        raise MalformedFrame(f"{name} is true or false, not {value!r:.40}")
    return value


def whole(value: object, name: str) -> int:
    """Return a whole number from -1, which stands for none or for automatic, to the largest of 63 bits."""
    if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value < 1 << 63:
        raise MalformedFrame(f"{name} is a whole number, not {value!r:.40}")
    return value


def signed(value: object, name: str) -> int:
    """Return a whole number of either sign, of 63 bits."""
    if isinstance(value, bool) or not isinstance(value, int) or not -1 << 63 <= value < 1 << 63:
        raise MalformedFrame(f"{name} is a whole number, not {value!r:.40}")
    return value


def seconds(value: object, name: str) -> float:
    """Return a duration or a time stamp, never below 0; NaN and infinity are refused."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1 << 63:
        raise MalformedFrame(f"{name} is a number of seconds, not {value!r:.40}")
    return float(value)


def list_of(value: object, name: str, length: int | None = None) -> list[Any]:
    """Return a list, of ``length`` values when that is given."""
    if not isinstance(value, list) or length not in (None, len(value)):
        raise MalformedFrame(f"{name} is a list{f' of {length}' if length else ''}, not {value!r:.40}")
    return value


def texts(length: int | None = None) -> Reader:
    """Return a reader of a list of strings."""
    return lambda value, name: tuple(text(each, name) for each in list_of(value, name, length))


def wholes(length: int | None = None) -> Reader:
    """Return a reader of a list of whole numbers."""
    return lambda value, name: tuple(whole(each, name) for each in list_of(value, name, length))


def environment(value: object, name: str) -> dict[str, str]:
    """Return an object of strings."""
    if not isinstance(value, dict):
        raise MalformedFrame(f"{name} is an object of names and values, not {value!r:.40}")
    return {text(key, name): text(each, name) for key, each in value.items()}


def limits(value: object, name: str) -> dict[str, tuple[int, int]]:
    """Return an object of pairs of whole numbers."""
    if not isinstance(value, dict):
        raise MalformedFrame(f"{name} is an object of names and pairs, not {value!r:.40}")
    pairs = {text(key, name): list_of(pair, name, 2) for key, pair in value.items()}
    return {key: (whole(soft, name), whole(hard, name)) for key, (soft, hard) in pairs.items()}
