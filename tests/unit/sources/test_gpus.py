"""What the child that reads GPUs answers: values, sentences, nonsense."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gomd.sources.linux.gpus import parse_answer
from libgomd.errors import SourceUnavailable


def card(**values: Any) -> dict[str, Any]:
    """Return a card as the child tells it."""
    return {"number": 0, "name": "n", "uuid": "u", "percent": 1, "used": 2, "total": 3, "celsius": 4,
            "milliwatts": 5, **values}  # fmt: skip


@pytest.mark.parametrize("told", [
    [], None, 7, {}, {"cards": []}, {"cards": [{}], "processes": []},
    {"cards": [card(name=3)], "processes": []},
    {"cards": [card(used="3")], "processes": []}, {"cards": [card(used=True)], "processes": []},
    {"cards": [card(number=None)], "processes": []}, {"cards": [card()], "processes": [[1]]},
    {"cards": [card()], "processes": [["x", 1]]}, {"cards": [card()], "processes": [[1, "x"]]},
])  # fmt: skip
def test_nonsense_is_said_to_be_that(told: object) -> None:
    """Whatever its kind."""
    with pytest.raises(SourceUnavailable, match="nonsense"):
        parse_answer(json.dumps(told).encode())


def test_impossible_numbers_are_not_known() -> None:
    """A card that is lost tells numbers of 64 bits."""
    found = parse_answer(
        json.dumps({"cards": [card(used=-1, total=1 << 64)], "processes": [[1, 1 << 64]]}).encode()
    )
    assert (found.cards[0].used, found.cards[0].total, found.memory) == (None, None, {})


@given(some.binary())
def test_any_bytes_are_an_answer_or_a_sentence(line: bytes) -> None:
    """Nothing else is raised."""
    with pytest.raises(SourceUnavailable):
        parse_answer(line)
