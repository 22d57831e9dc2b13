"""A person at a screen of `gom top` without a terminal, with a feed and answers that a test writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gom.monitor.feed import ProcessQuery
from gom.monitor.rows import ProcessRow
from gom.monitor.spans import text_of
from gom.monitor.subscription import DaemonEndpoints
from gom.monitor.top_actions import ActionResult, Actor, Asked
from gom.monitor.top_screen import TopScreen
from tests.unit.gom.monitor.cluster import ScriptedFeed, a_process, a_snapshot

NOWHERE = DaemonEndpoints((), "")
XZ = a_process(11, 1, cpu_percent=90.0, command="xz -9 big", lock=False)
MAKE = a_process(12, 2, cpu_percent=50.0, command="make all", user="bob", cantmove="foreign")
IDLE = a_process(13, 2, command="sleep 60")


class ScriptedActor(Actor):
    """Keeps what is asked; a test answers."""

    def __init__(self) -> None:
        super().__init__(NOWHERE, lambda: None)
        self.asked: list[Asked] = []
        self.answers: list[ActionResult] = []

    def ask(self, *asked: Asked) -> bool:
        """See `Actor.ask`."""
        self.asked += asked
        return True

    def take(self) -> list[ActionResult]:
        """See `Actor.take`."""
        answers, self.answers = self.answers, []
        return answers


class Viewer:
    """A person at a screen of ``gom top``."""

    def __init__(self, processes: Sequence[ProcessRow] = (XZ, MAKE, IDLE), **values: Any) -> None:
        self.feed = ScriptedFeed(a_snapshot(processes, **values))
        self.actor = ScriptedActor()
        self.screen = TopScreen(
            NOWHERE,
            ProcessQuery(),
            1.0,
            lambda moment: f"at {moment:g}",
            lambda _: self.feed,
            lambda _: self.actor,
        )
        self.screen.start(lambda: None)
        self.size = (100, 24)
        self.look()

    def look(self) -> list[str]:
        """Return the picture as text."""
        return [text_of(line).rstrip() for line in self.screen.draw(*self.size)]

    def press(self, *keys: str) -> str:
        """Press keys, one character or a name each; return the picture."""
        for key in keys:
            self.screen.press(key, key if len(key) == 1 else "")
            self.look()
        return "\n".join(self.look())

    def know(self, **values: Any) -> None:
        """Let the feed know something else."""
        self.feed.now = self.feed.now._replace(**values)

    def answer(self, done: bool, text: str) -> str:
        """Answer the last thing that was asked; return the picture."""
        asked = self.actor.asked[-1]
        self.actor.answers.append(ActionResult(asked.key, done, text, asked.about))
        return "\n".join(self.look())


KEYS = (*"/abckrmltunJU qhisPMTINSy5-*", "up", "down", "pageup", "pagedown", "home", "end", "enter", "escape",
        "space", "backspace", "f1", "ctrl+l")  # fmt: skip
