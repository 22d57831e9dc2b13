"""
Lines of styled text for a screen of character cells: how wide text is, and how it is made to fit.

Everything that a screen shows is a `Line`, made by pure functions; `gom.monitor.picture` writes lines as text
and `gom.monitor.screen` shows them with textual. A style says what is meant, not a colour.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

#: What stands where text was cut off.
ELLIPSIS: Final = "…"
#: Combining marks on one character, at most; more of them would be drawn over other lines.
MAX_MARKS: Final = 3


class Style(Enum):
    """What a span means. Colour never carries a meaning alone: a letter or a word beside it says the same."""

    PLAIN = "plain"
    #: Less important, such as labels and units.
    DIM = "dim"
    #: Values that are not fresh.
    STALE = "stale"
    #: The name of a screen or of a dialog.
    TITLE = "title"
    #: The names of columns.
    HEADING = "heading"
    #: The column that decides the order.
    SORTED = "sorted"
    #: The row that the keys act on.
    SELECTED = "selected"
    #: Rows that were marked to be acted on together.
    MARKED = "marked"
    #: A key that may be pressed.
    KEY = "key"
    #: What is being typed.
    INPUT = "input"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    #: How full something is, in fifths: up to 20 %, 40 %, ...
    LEVEL_1 = "level 1"
    LEVEL_2 = "level 2"
    LEVEL_3 = "level 3"
    LEVEL_4 = "level 4"
    LEVEL_5 = "level 5"


#: From empty to full.
LEVELS: Final = (Style.LEVEL_1, Style.LEVEL_2, Style.LEVEL_3, Style.LEVEL_4, Style.LEVEL_5)


class Span(NamedTuple):
    """Text of one style. It is visible text only: whatever is not ours goes through `visible` first."""

    text: str
    style: Style = Style.PLAIN


#: One line of the screen, left to right.
Line = tuple[Span, ...]


def line(*parts: str | Span) -> Line:
    """Return a line of spans; a string is a plain span."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def visible(text: str) -> str:
    r"""
    Return ``text`` with everything visible that would steer a terminal or hide: ``\xNN`` or ``\uNNNN``.

    Control characters, ESC among them, invisible format characters such as those that reverse the direction,
    lone surrogates and characters that no font has are shown so. Variation selectors are left out.
    """
    if text.isascii() and text.isprintable():
        return text
    shown, marks = [], 0
    for character in text:
        marks = marks + 1 if _cells(character) == 0 else 0
        shown.append(_escaped(character) if marks > MAX_MARKS else _visible(character))
    return "".join(shown)


@lru_cache(maxsize=4096)
def _visible(character: str) -> str:
    if "\ufe00" <= character <= "\ufe0f":
        return ""
    category = unicodedata.category(character)
    # Zl and Zp end lines; a space other than U+0020 looks like it, and is no column of one cell everywhere.
    hidden = category[0] == "C" or category in ("Zl", "Zp") or character in _BLANK
    return _escaped(character) if hidden else character


#: Letters that are drawn as nothing.
_BLANK: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def _escaped(character: str) -> str:
    number = ord(character)
    if number <= 0xFF:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


@lru_cache(maxsize=4096)
def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    if "\u1160" <= character <= "\u11ff":  # vowels and ends of Korean syllables join the letter before them
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def width(text: str) -> int:
    """Return how many cells visible text takes: 2 for a wide character, 0 for a combining mark."""
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def clip(text: str, cells: int) -> str:
    """Return as much of visible text as fits into ``cells``, with a last ``…`` where something is missing."""
    if width(text) <= cells:
        return text
    if cells <= 0:
        return ""
    if text.isascii():
        return text[: cells - 1] + ELLIPSIS
    return _head(text, cells - 1) + ELLIPSIS


def _head(text: str, cells: int) -> str:
    """Return the longest beginning of ``text`` that is not wider than ``cells``."""
    if text.isascii():
        return text[: max(cells, 0)]
    used = 0
    for at, character in enumerate(text):
        used += _cells(character)
        if used > cells:
            return text[:at]
    return text


def wrapped(text: str, cells: int) -> list[str]:
    """Return visible text in lines of at most ``cells``, broken at spaces where there are some."""
    cells = max(1, cells)
    found: list[str] = []
    current = ""
    for part in _PARTS.findall(text):
        if width(current) + width(part) <= cells:
            current += part
            continue
        if current.strip():
            found.append(current.rstrip())
        current = "" if part.isspace() else part
        while width(current) > cells:
            head = _head(current, cells) or current[0]
            found.append(head)
            current = current[len(head) :]
    if current.strip():
        found.append(current.rstrip())
    return found or [""]


#: Words and the spaces between them.
_PARTS: Final = re.compile(" +|[^ ]+")


def fit(text: str, cells: int, *, right: bool = False) -> str:
    """
    Return visible text exactly ``cells`` wide: clipped, or padded with spaces.

    :param right: whether it stands at the right end, as numbers do.
    """
    clipped = clip(text, cells)
    space = " " * (cells - width(clipped))
    return space + clipped if right else clipped + space


def line_width(of: Iterable[Span]) -> int:
    """Return how many cells a line takes."""
    return sum(width(span.text) for span in of)


def fit_line(of: Sequence[Span], cells: int, style: Style = Style.PLAIN) -> Line:
    """
    Return a line exactly ``cells`` wide: cut off without a sign, or padded with spaces of ``style``.

    :param of: spans of visible text.
    """
    fitted: list[Span] = []
    left = cells
    for span in of:
        taken = width(span.text)
        if taken > left:
            # A wide character that would stick out by half leaves a space.
            text = _head(span.text, left)
            fitted.append(Span(text, span.style))
            left -= width(text)
            break
        fitted.append(span)
        left -= taken
    if left > 0:
        fitted.append(Span(" " * left, style))
    return tuple(fitted)


def merged(of: Iterable[Span]) -> Line:
    """Return the same line with as few spans as it takes: neighbours of one style are joined."""
    found: list[Span] = []
    for span in of:
        if found and found[-1].style is span.style:
            found[-1] = Span(found[-1].text + span.text, span.style)
        elif span.text:
            found.append(span)
    return tuple(found)


def restyled(of: Iterable[Span], style: Style) -> Line:
    """Return a line with all of it in ``style``, such as the selected row."""
    return (Span("".join(span.text for span in of), style),)


def text_of(of: Iterable[Span]) -> str:
    """Return the text of a line without its styles."""
    return "".join(span.text for span in of)


def box(title: str, lines: Sequence[Line], cells: int) -> list[Line]:
    """
    Return ``lines`` in a frame that is ``cells`` wide, with ``title`` in its upper edge.

    :param cells: of the frame itself, 4 at least.
    """
    inner = cells - 4
    name = clip(f" {title} ", max(cells - 3, 0))
    top = line(Span("┌─"), Span(name, Style.TITLE), "─" * (cells - 3 - width(name)) + "┐")
    body = [(Span("│ "), *fit_line(each, inner), Span(" │")) for each in lines]
    return [top, *body, line("└" + "─" * (cells - 2) + "┘")]


#: What stands for characters of our own where a terminal's encoding does not have them.
_ASCII: Final = {
    ELLIPSIS: "~", "↓": "v", "─": "-", "│": "|", "┤": "|", "├": "|", "└": "`", "┌": "+", "┐": "+",
    "┘": "+", "╰": "`", "╯": "'", "▶": ">", "◀": "<", "▁": "_", "▂": "_", "▃": "_", "▄": "=", "▅": "=",
    "▆": "#", "▇": "#", "█": "#",
}  # fmt: skip


def encodable(text: str, encoding: str) -> str:
    """Return visible text as wide, with only what ``encoding`` has; ``?`` for what is not ours."""
    if text.isascii():
        return text
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(character if _has(encoding, character) else _plain(character) for character in text)
    return text


def _plain(character: str) -> str:
    return _ASCII.get(character) or "?" * _cells(character)


@lru_cache(maxsize=4096)
def _has(encoding: str, character: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
