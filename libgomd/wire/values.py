"""Values of the model as JSON objects and back, under the names the protocol promises."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from libgomd.errors import MalformedReply
from libgomd.model import EventKind, JobState, Role, Status


class Travelling(Protocol):
    """A model class whose values travel: ``JSON`` lists the names."""

    JSON: ClassVar[Any]


T = TypeVar("T")

#: The fields that are not plain JSON, by class name, and what makes their value from JSON.
_ENUMS: dict[str, dict[str, Callable[[Any], object]]] = {
    "Node": {"status": Status},
    "Event": {"kind": EventKind},
    "Job": {"state": JobState},
    "Caller": {"role": lambda word: Role[str(word).upper()]},
}


def encode(value: Travelling) -> dict[str, Any]:
    """Return ``value`` as a JSON object: its ``JSON`` names in order, None for what is not known."""
    return {name: _plain(getattr(value, name)) for name in value.JSON}


def _plain(value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.word if hasattr(value, "word") else value.value
    return value


def dumps(value: object) -> str:
    """Return ``value`` as one line of JSON, in ASCII: no byte of it can drive a terminal."""
    # DEL is the one control character that json leaves as it is.
    return json.dumps(value).replace("\x7f", "\\u007f")


def loads(text: str) -> Any:
    """
    Return the value in one line of JSON.

    :raises MalformedReply: it is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedReply(f"not JSON: {text[:80]!r}") from error


def decode(kind: type[T], values: Mapping[str, Any]) -> T:
    """
    Return the ``kind`` that ``values`` describes; names that this version does not know are left out.

    A list of JSON becomes a tuple.

    :raises MalformedReply: a value is missing or of the wrong sort.
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
