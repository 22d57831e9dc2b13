"""The page of verbs in docs/ is what the table says."""

from __future__ import annotations

from pathlib import Path

from gomd.verbs.page import page

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_of_verbs_is_what_help_says() -> None:
    """docs/verbs.md was made anew after the last change of a verb."""
    assert (DOCS / "verbs.md").read_text(encoding="utf-8") == page(), (
        "docs/verbs.md is old: python -m gomd.verbs.page > docs/verbs.md"
    )
