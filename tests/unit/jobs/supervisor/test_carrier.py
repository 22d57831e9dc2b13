"""What the step that carries files says when it cannot be done."""

from __future__ import annotations

import pytest

from gomd.jobs.supervisor.carrier import named_as_carried

PATHS = ("/etc/shadow", "/home/ada/data", "/7")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0/shadow cannot be read: Permission denied", "/etc/shadow cannot be read: Permission denied"),
        ("1/data/in/a belongs to another user", "/home/ada/data/in/a belongs to another user"),
        ("2/7 is a device", "/7 is a device"),
        ("3/x is a device", "3/x is a device"),
        ("there are more than 10 files", "there are more than 10 files"),
        ("²/x is a device", "²/x is a device"),
    ],
)
def test_a_refusal_names_the_file_as_its_user_does(text: str, said: str) -> None:
    """Not as it stands in the stream, below the number of the path that it belongs to."""
    assert named_as_carried(text, PATHS) == said
