"""The least that textual shows: one word."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Static


class Empty(App[None]):
    """A screen with one word."""

    def compose(self) -> ComposeResult:
        """Show it."""
        yield Static("ready")


if __name__ == "__main__":
    Empty().run()
