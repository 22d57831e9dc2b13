"""The help of `gom top`: every word of it can be read, whatever the size of the screen."""

from __future__ import annotations

import pytest

from gom.monitor.spans import line_width, text_of
from gom.monitor.top_help import _COLUMNS, _KEYS, Help


@pytest.mark.parametrize(("width", "height"), [(300, 70), (76, 19), (40, 10), (24, 4), (16, 3)])
def test_all_of_it_is_there(width: int, height: int) -> None:
    """Lines are broken, not cut off, and its title says that there is more below."""
    shown = Help()
    found = shown.lines(width, height)
    seen = [text_of(each) for each in found]
    while shown.title != "help":
        shown.press("down", "")
        found = shown.lines(width, height)
        seen.append(text_of(found[-1]))
    assert all(line_width(each) <= width for each in found)
    words = " ".join(" ".join(seen).split())
    for name, meaning in (*_KEYS, *_COLUMNS):
        assert name in words
        for word in meaning.split():
            assert word in words


def test_it_fits_on_80x24() -> None:
    """Nobody has to look for the rest there."""
    shown = Help()
    shown.lines(76, 19)
    assert shown.title == "help"
