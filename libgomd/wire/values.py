"""Encodes values of the model as JSON with the names of the protocol, and decodes them."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from libgomd.errors import MalformedReply
from libgomd.model import EventKind, JobState, Role, Status


class Travelling(Protocol):
    """A class of the model that is sent as JSON; ``JSON`` lists its names."""

    JSON: ClassVar[Any]


T = TypeVar("T")

#: Decoders of fields that are not plain JSON, by class and field.
_ENUMS: dict[str, dict[str, Callable[[Any], object]]] = {
    "Node": {"status": Status},
    "Event": {"kind": EventKind},
    "Job": {"state": JobState},
    "Caller": {"role": lambda word: Role[str(word).upper()]},
}


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


#: Python's own takes NaN and Infinity, and would write them again, where other languages refuse the line.
_DECODER = json.JSONDecoder(parse_constant=_no_number)


def encode(value: Travelling) -> dict[str, Any]:
    """Return ``value`` as a JSON object with its ``JSON`` names in order; unknown values are None."""
    return {name: _plain(getattr(value, name)) for name in value.JSON}


def _plain(value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.word if hasattr(value, "word") else value.value
    return value


def dumps(value: object) -> str:
    """Return ``value`` as one line of ASCII JSON without control characters."""
    # DEL is the only control character that json does not escape.
    return json.dumps(value).replace("\x7f", "\\u007f")


def loads(text: str) -> Any:
    """
    Return the value in one line of JSON.

    :raises MalformedReply: it is not JSON.
    """
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise MalformedReply(f"not JSON: {text[:80]!r}") from error


def decode(kind: type[T], values: Mapping[str, Any]) -> T:
    """
    Return the value of class ``kind`` in ``values``. Unknown names are ignored, and lists become tuples.

    :raises MalformedReply: a value is missing or of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise MalformedReply(f"{kind.__name__}: expected an object, got {values!r:.80}")
    found = {
        field.name: tuple(value) if isinstance(value := values[field.name], list) else value
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
        if field.name in values
    }
    try:
        for name, convert in _ENUMS.get(kind.__name__, {}).items():
            found[name] = convert(found[name])
        return kind(**found)
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedReply(f"{kind.__name__}: {error}") from error
