"""Whether the fields of a value are what their annotations say."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any


def assert_typed(value: object) -> None:
    """Fail unless every field of this dataclass is what its annotation says (a bool is no int)."""
    hints = typing.get_type_hints(type(value))
    assert dataclasses.is_dataclass(value)
    for field in dataclasses.fields(value):
        found = getattr(value, field.name)
        assert _fits(found, hints[field.name]), f"{type(value).__name__}.{field.name} is {found!r}"


def _fits(value: object, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, one) for one in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        each = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return len(each) == len(value) and all(map(_fits, value, each))
    if hint in (int, float):
        kinds = (int, float) if hint is float else int
        return isinstance(value, kinds) and not isinstance(value, bool)
    return isinstance(value, hint)
