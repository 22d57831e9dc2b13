"""Checks numbers that another node has sent."""

from __future__ import annotations


def is_number(value: object, largest: int) -> bool:
    """Whether ``value`` is an integer from 0 to ``largest``; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= largest
