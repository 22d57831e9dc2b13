"""Tests of lines of styled text: widths, fitting, and text that would steer a terminal."""

from __future__ import annotations

import unicodedata
from unittest import TestCase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gom.monitor import spans
from gom.monitor.spans import Span, Style

WIDE, COMBINED = "計算", "é"


class WidthTests(TestCase):
    def test_wide_and_combining_characters(self) -> None:
        """A wide character takes two cells, a combining mark none."""
        self.assertEqual(spans.width("ab"), 2)
        self.assertEqual(spans.width(WIDE), 4)
        self.assertEqual(spans.width(COMBINED), 1)

    def test_clipped_text_never_splits_a_wide_character(self) -> None:
        self.assertEqual(spans.clip(WIDE, 4), WIDE)
        self.assertEqual(spans.clip(WIDE, 3), "計…")
        self.assertEqual(spans.clip(WIDE, 2), "…")
        self.assertEqual(spans.clip(WIDE, 0), "")
        self.assertEqual(spans.clip(COMBINED * 3, 2), f"{COMBINED}…")

    def test_numbers_stand_at_the_right(self) -> None:
        self.assertEqual(spans.fit("12", 4, right=True), "  12")
        self.assertEqual(spans.fit("12", 4), "12  ")
        self.assertEqual(spans.fit("12345", 4, right=True), "123…")

    @given(st.text(), st.integers(0, 30))
    def test_fitted_text_is_as_wide_as_wanted(self, text: str, cells: int) -> None:
        self.assertEqual(spans.width(spans.fit(spans.visible(text), cells)), cells)


class VisibleTests(TestCase):
    def test_escape_sequences_are_shown_as_text(self) -> None:
        """A process may name itself after an escape sequence; the terminal sees text."""
        self.assertEqual(spans.visible("\x1b[2J\x07"), "\\x1b[2J\\x07")
        self.assertEqual(spans.visible("a\nb\tc\x9b1m"), "a\\x0ab\\x09c\\x9b1m")

    def test_characters_that_hide_or_turn_are_shown(self) -> None:
        self.assertEqual(spans.visible("a\u202eb\u200dc"), "a\\u202eb\\u200dc")
        self.assertEqual(spans.visible("\ud800"), "\\ud800")
        self.assertEqual(spans.visible("\u2028"), "\\u2028")
        self.assertEqual(spans.visible("\U000e0001"), "\\U000e0001")
        self.assertEqual(spans.visible("❤\ufe0f"), "❤")

    def test_marks_do_not_pile_up(self) -> None:
        """More marks on one letter than a language needs are shown as text."""
        shown = spans.visible("a" + "\u0301" * 5)
        self.assertEqual(shown, "a" + "\u0301" * 3 + "\\u0301\\u0301")

    @given(st.text())
    def test_nothing_steers_the_terminal(self, text: str) -> None:
        for character in spans.visible(text):
            self.assertNotEqual(unicodedata.category(character)[0], "C")


class LineTests(TestCase):
    def test_a_line_is_cut_or_padded(self) -> None:
        line = spans.line("ab", Span("cd", Style.BAD))
        self.assertEqual(spans.fit_line(line, 3), (Span("ab"), Span("c", Style.BAD)))
        self.assertEqual(spans.fit_line(line, 6)[2:], (Span("  "),))
        self.assertEqual(spans.line_width(spans.fit_line(spans.line(WIDE), 3)), 3)

    def test_neighbours_of_one_style_are_joined(self) -> None:
        line = spans.line("a", "", "b", Span("", Style.BAD), Span("c", Style.BAD), Span("d", Style.BAD), "e")
        self.assertEqual(spans.merged(line), (Span("ab"), Span("cd", Style.BAD), Span("e")))

    def test_a_box_is_as_wide_as_wanted(self) -> None:
        frame = spans.box("renice " + WIDE, [spans.line("x" * 40), spans.line()], 20)
        self.assertEqual([spans.line_width(each) for each in frame], [20] * 4)
        self.assertEqual(spans.text_of(frame[2]), "│" + " " * 18 + "│")


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "cp437", "koi8-r", "utf-8"])
def test_what_an_encoding_does_not_have(encoding: str) -> None:
    """A terminal that has no UTF-8 is shown as many cells of something that it has."""
    text = "%CPU↓ ┌─ x ─┐ │ ├─└─ ┤ ▁▂▃▄▅▆▇█ ╰▶◀╯ wide 漢字 marks e\u0301 é ß…"
    shown = spans.encodable(text, encoding)
    assert shown.encode(encoding).decode(encoding) == shown
    assert spans.width(shown) == spans.width(text)
    assert (shown == text) is (encoding == "utf-8")
    if encoding == "iso-8859-1":
        assert "é ß~" in shown
    if encoding == "ascii":
        assert shown == "%CPUv +- x -+ | |-`- | ___==### `><' wide ???? marks e ? ?~"


@given(st.text(alphabet="ab 漢e\u0301-", max_size=60), st.integers(2, 20))
def test_lines_are_as_wide_as_there_is_room(text: str, cells: int) -> None:
    """Wide characters count as two cells; nothing but spaces is lost."""
    found = spans.wrapped(text, cells)
    assert all(spans.width(each) <= cells for each in found)
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
    assert spans.wrapped("send it to the node", 10) == ["send it to", "the node"]
