"""How a request line is taken apart into words: as a shell would, with quotes and without."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from libgomd.errors import MalformedRequest
from libgomd.wire.lines import Request, encode_request, parse_request

#: Characters that `str.split` takes for blanks and a shell does not.
OTHER_SPACES = "\u00a0\u1680\u2003\u2028\u202f\u205f\u3000"


@pytest.mark.parametrize("space", OTHER_SPACES)
def test_only_blanks_and_tabs_are_between_words(space: str) -> None:
    """With quotes somewhere in the line as without."""
    word = f"a{space}b"
    for line in (f"ps --match {word}", f"ps\t--match  {word} ", f"ps '--match' {word}"):
        assert parse_request(line.encode()) == Request("ps", ("--match", word)), line


@given(some.lists(some.text(alphabet="ab'\"\\ \t@#$" + OTHER_SPACES), max_size=4))
def test_what_is_written_is_read(words: list[str]) -> None:
    """Any words that can be sent arrive as they were."""
    request = Request("ps", tuple(words))
    try:
        line = encode_request(request)
    except MalformedRequest:
        return
    assert parse_request(line.rstrip(b"\r\n")) == request
