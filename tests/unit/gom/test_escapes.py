"""What is typed for the job, and what for `gom` itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gom.escapes import Escape, EscapeParser, help_text, parse_escape
from libgomd.errors import MalformedRequest


def typed(*pieces: bytes, character: int | None = ord("~")) -> list[bytes | Escape]:
    """Return what comes of these pieces of input, neighbouring bytes joined."""
    parser = EscapeParser(character)
    found: list[bytes | Escape] = []
    for piece in pieces:
        for each in parser.feed(piece):
            if found and isinstance(each, bytes) and isinstance(found[-1], bytes):
                found[-1] += each
            else:
                found.append(each)
    return found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"~.", [Escape.LEAVE]),
        (b"ls\r~.", [b"ls\r", Escape.LEAVE]),
        (b"ls\n~.", [b"ls\n", Escape.LEAVE]),
        (b"ls ~.\r", [b"ls ~.\r"]),
        (b"~~.\r", [b"~.\r"]),
        (b"~\x1a~?~.", [Escape.SUSPEND, Escape.HELP, Escape.LEAVE]),
        (b"~x~.", [b"~x~."]),
        (b"~\r~.", [b"~\r", Escape.LEAVE]),
        (b"\r~", [b"\r"]),
    ],
)
def test_escapes_at_the_start_of_a_line(text: bytes, found: list[bytes | Escape]) -> None:
    """As ssh: only there, at the very beginning too, and in however small pieces it comes."""
    assert typed(text) == found
    assert typed(*(bytes((byte,)) for byte in text)) == found


@given(st.binary())
def test_without_an_escape_character_everything_is_the_jobs(data: bytes) -> None:
    """`-e none` lets through whatever is typed."""
    assert typed(data, character=None) == ([data] if data else [])


@given(st.lists(st.binary(max_size=9)), st.integers(1, 127))
def test_nothing_else_is_lost_or_changed(pieces: list[bytes], character: int) -> None:
    """Text without the escape character arrives as it is."""
    clean = [piece.replace(bytes((character,)), b"") for piece in pieces]
    assert b"".join(
        each for each in typed(*clean, character=character) if isinstance(each, bytes)
    ) == b"".join(clean)


@pytest.mark.parametrize(
    ("text", "character"),
    [("~", 0x7E), ("none", None), ("^]", 0x1D), ("^a", 1), ("^A", 1), ("^", 0x5E), ("^@", 0), ("x", 0x78)],
)
def test_what_e_takes(text: str, character: int | None) -> None:
    """One character, or a control character in two."""
    assert parse_escape(text) == character


@pytest.mark.parametrize("text", ["", "ab", "^1", "^ab", "é", "^é", "NONE", "^^^"])
def test_what_e_refuses(text: str) -> None:
    """In a sentence that says what it takes."""
    with pytest.raises(
        MalformedRequest, match=r"-e takes one character, \^X for a control character, or none"
    ):
        parse_escape(text)


def test_the_help_names_the_escape_character_in_use() -> None:
    """Also a control character."""
    assert " ~.   leave; the job is told to end" in help_text(ord("~"), detached=False)
    assert " ^].   leave; the job goes on" in help_text(0x1D, detached=True)
