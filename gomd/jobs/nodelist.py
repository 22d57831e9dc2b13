"""The lists of nodes that people write after -j: ``1-4,7``."""

from __future__ import annotations

from typing import Final

from libgomd.errors import MalformedRequest
from libgomd.model import MAX_NODE_ID

#: Characters in a list: every second node of a thousand still fits.
MAX_TEXT: Final = 4000


def parse_node_list(text: str) -> frozenset[int]:
    """
    Return the node ids in ``text``: numbers and ranges, both ends included, with commas between them.

    :raises MalformedRequest: for any other text.
    """
    if len(text) > MAX_TEXT:
        raise MalformedRequest(f"a list of nodes has at most {MAX_TEXT} characters, this one has {len(text)}")
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low = _id(first, text)
        high = _id(last, text) if dash else low
        if high < low:
            raise MalformedRequest(f"{part!r} runs backwards: write {high}-{low}")
        found.update(range(low, high + 1))
    return frozenset(found)


def _id(word: str, text: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 5 and 1 <= int(word) <= MAX_NODE_ID):
        raise MalformedRequest(
            f"{text[:80]!r} is no list of nodes: write ids from 1 to {MAX_NODE_ID}, for example 1-4,7"
        )
    return int(word)
