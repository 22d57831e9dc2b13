"""JSON on the line: nothing in it acts on a terminal, and every line is JSON when it arrives."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from libgomd.wire.lines import BlockLine, ReplyParser, encode_block
from libgomd.wire.values import dumps


@given(st.text(st.characters()))
def test_any_text_arrives_as_it_was(text: str) -> None:
    """DEL, too, which json itself leaves as it is."""
    line = dumps({"command": text})
    assert line.isprintable()
    events = ReplyParser().feed(b"201 x\r\n" + encode_block([line]) + b".\r\n")
    [arrived] = [event.text for event in events if isinstance(event, BlockLine)]
    assert json.loads(arrived) == {"command": text}


def test_the_control_character_that_json_has_not() -> None:
    """It was written as no JSON has it, and the client took the connection for broken."""
    assert dumps("a\x7fb") == '"a\\u007fb"'
