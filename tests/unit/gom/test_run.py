"""The command line of `gom run`."""

from __future__ import annotations

import pytest

from gom.run_options import Wanted, parse
from libgomd.errors import MalformedRequest


def test_sizes_of_memory() -> None:
    """What it needs and what it may have, in either way of writing an option."""
    assert parse(["--mem", "500M", "true"]) == Wanted(("true",), memory=500 << 20)
    assert parse(["--mem-max", "2g", "true"]) == Wanted(("true",), memory_max=2 << 30)
    both = Wanted(("true", "--mem=1"), memory=1 << 20, memory_max=4096)
    assert parse(["--mem=1M", "--mem-max=4096", "true", "--mem=1"]) == both


def test_files_that_travel_along() -> None:
    """Each path by an option of its own, in either way of writing it."""
    assert parse(["--carry", "a b", "--carry=-x=1", "--", "true"]) == Wanted(("true",), carry=("a b", "-x=1"))


@pytest.mark.parametrize(
    "words",
    [
        ["--carry"],
        ["--mem-max"],
        ["--mem-max="],
        ["--mem-max", "much", "true"],
        ["--mem-least", "1M", "true"],
        ["--mem", "9999999T", "true"],
        ["-n", "", "true"],
        ["-j", "", "true"],
        ["--carry=", "true"],
    ],
)
def test_what_is_refused(words: list[str]) -> None:
    """Each names the option that is wrong."""
    with pytest.raises(MalformedRequest) as refused:
        parse(words)
    assert words[0].rstrip("=") in str(refused.value)
