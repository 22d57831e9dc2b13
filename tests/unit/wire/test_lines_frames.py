"""What comes behind an answer of 202 is no line any more."""

from __future__ import annotations

from libgomd.wire.lines import ReplyParser, StatusLine


def test_frames_behind_the_answer_are_left_alone() -> None:
    """Their bytes, line ends among them, are the rest."""
    parser = ReplyParser()
    assert list(parser.feed(b"200 welcome\r\n202 job 7\r\n\x10\n\x00\r\nxyz")) == [
        StatusLine(200, "welcome"),
        StatusLine(202, "job 7"),
    ]
    assert parser.rest == b"\x10\n\x00\r\nxyz"
