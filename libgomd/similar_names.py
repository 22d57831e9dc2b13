"""The known name that a mistyped one is most like, for the hints in errors."""

from __future__ import annotations

from collections.abc import Iterable


def most_similar(name: str, known: Iterable[str]) -> str:
    """Return the name in ``known`` that is most like ``name``, empty when none is like it."""
    from difflib import get_close_matches  # most daemons never need it, and it takes memory

    return next(iter(get_close_matches(name, list(known), 1)), "")
