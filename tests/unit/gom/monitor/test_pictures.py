"""The screens of which the documentation has pictures: `make pictures` can make each of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from demo.pictures import PICTURES, svg
from gom.monitor.spans import text_of

#: What has to be on each of them.
SHOWN = {
    "top": ("11 of 12", "./simulate --grid 512", "rosalind"),
    "mon": ("11 of 12 up", "balance", "fermi -> dijkstra", "▶", "fermi (node 6)"),
    "mon-memory": ("memory used", "+++"),
    "mon-map": ("240 up", "rack240", "D down"),
}


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_the_screen_shows_the_made_up_cluster(name: str) -> None:
    (columns, rows), _title, make = PICTURES[name]
    program = make()
    program.start(lambda: None)
    told = "\n".join(text_of(line) for line in program.draw(columns, rows))
    for text in SHOWN[name]:
        assert text in told


def test_a_picture_is_the_same_each_time() -> None:
    size, title, make = PICTURES["mon"]
    one, other = (asyncio.run(svg(make(), size, title)) for _ in range(2))
    assert one == other
    assert one.startswith("<svg")


def test_the_documentation_has_each_picture() -> None:
    there = {path.stem for path in (Path(__file__).parents[4] / "docs" / "pictures").glob("*.svg")}
    diagrams = {name for name in there if name.startswith("diagram-")}
    assert there - diagrams == set(PICTURES)
