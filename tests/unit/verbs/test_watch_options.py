"""The options of `watch`: what is wrong with one is said of the option, not of a verb."""

from __future__ import annotations

import pytest

from gomd.verbs.watch_options import WatchOptions, parse_options
from libgomd.errors import MalformedRequest


def test_options_end_where_the_verb_begins() -> None:
    """What the verb's own options are is the verb's affair."""
    found = parse_options(("-n", "2", "-c=3", "@all", "ps", "--top", "5"))
    assert found == (WatchOptions(2.0, 3), ("@all", "ps", "--top", "5"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--bogus nodes", "watch has no option --bogus: it has -n, -c, --most, --with"),
        ("-n 1 -x nodes", "watch has no option -x"), ("--bogus=3 nodes", "no option --bogus"),
        ("-n", "-n needs a value"), ("-c 1 --most", "--most needs a value"),
    ],
)  # fmt: skip
def test_wrong_options(words: str, said: str) -> None:
    with pytest.raises(MalformedRequest, match=said):
        parse_options(tuple(words.split()))
