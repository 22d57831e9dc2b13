"""The pages and pictures that are made from other files are up to date."""

from __future__ import annotations

import html
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIAGRAMS = sorted((ROOT / "docs" / "diagrams").glob("*.dot"))


@pytest.mark.parametrize("name", ["settings", "schemas"])
def test_a_page_is_made_from_its_source(name: str) -> None:
    """Who changes gomd.ini or a verb runs `make docs`."""
    made = runpy.run_path(str(ROOT / "contrib" / "reference.py"))[name]()
    assert (ROOT / "docs" / f"{name}.md").read_text("utf-8") == made


def test_every_setting_is_on_its_page() -> None:
    """The page of settings has each setting of the specification."""
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    spec = (ROOT / "gomd" / "gomd.spec.ini").read_text("utf-8")
    names = re.findall(r"^([a-z][a-z_]+) =", spec, re.MULTILINE)
    assert len(names) > 60
    assert [name for name in names if not re.search(rf"^### `{name} =", page, re.MULTILINE)] == []


def test_there_are_the_four_diagrams() -> None:
    """The network of daemons, the client side, the server side, and one request step by step."""
    assert [path.stem for path in DIAGRAMS] == ["client", "network", "request", "server"]


@pytest.mark.parametrize("path", DIAGRAMS, ids=lambda path: path.stem)
def test_a_diagram_shows_its_text(path: Path) -> None:
    """Who changes the text of a diagram runs `make diagrams`."""
    picture = html.unescape((ROOT / "docs" / "pictures" / f"diagram-{path.stem}.svg").read_text("utf-8"))
    drawn = {
        found.strip() for found in re.findall(r"<text[^>]*>([^<]*)</text>", picture.replace("\xa0", " "))
    }
    for label in re.findall(r'label="([^"]+)"', path.read_text("utf-8")):
        lines = {re.sub(r" +", " ", line.strip()) for line in label.split("\\n") if line.strip()}
        assert lines <= {re.sub(r" +", " ", line) for line in drawn}, label
