"""
What `gom top` asks and does on behalf of a person: requests on threads of their own, and their answers.

A process is named by its identity, so that nothing is done to another one that has its number by now.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, NamedTuple

from gom.monitor.subscription import DaemonEndpoints
from libgomd.errors import GomdError
from libgomd.linesocket import LineSocket
from libgomd.wire.lines import BLOCK, Request

#: Seconds to wait for an answer that is not a migration's.
ANSWER_TIMEOUT: Final = 30.0
#: Lines of a file that are kept, and batches of requests that are under way at once.
MAX_LINES: Final = 200
MAX_BATCHES: Final = 16


class Asked(NamedTuple):
    """
    One request of a person.

    :ivar key: what the answer is for; whoever asked finds it by this. :ivar request: what is sent.
    :ivar about: names what it acts on, for the sentence of an error.
    """

    key: tuple[str, ...]
    request: Request
    about: str = ""


class ActionResult(NamedTuple):
    """
    The answer to one request.

    :ivar done: whether the daemon did it. :ivar text: its sentence, or the lines of a file.
    """

    key: tuple[str, ...]
    done: bool
    text: str
    about: str = ""


class Actor:
    """
    Sends requests, each batch on a thread of its own: a migration takes as long as it takes.

    :param answered: called on such a thread after each answer, which `take` gives.
    """

    def __init__(self, place: DaemonEndpoints, answered: Callable[[], None]) -> None:
        self._place = place
        self._answered = answered
        self._answers: queue.SimpleQueue[ActionResult] = queue.SimpleQueue()
        self._running = threading.BoundedSemaphore(MAX_BATCHES)

    def ask(self, *asked: Asked) -> bool:
        """Send requests, one after the other, and return at once; False when too many are under way."""
        if not self._running.acquire(blocking=False):
            return False
        threading.Thread(target=self._run, args=(asked,), daemon=True).start()
        return True

    def take(self) -> list[ActionResult]:
        """Return the answers that came since the last call."""
        found: list[ActionResult] = []
        while True:
            try:
                found.append(self._answers.get_nowait())
            except queue.Empty:
                return found

    def _run(self, batch: Sequence[Asked]) -> None:
        try:
            for asked in batch:
                self._answers.put(self._answer(asked))
                self._answered()
        finally:
            self._running.release()

    def _answer(self, asked: Asked) -> ActionResult:
        try:
            line = self._place.line(asked.request)
            try:
                return ActionResult(asked.key, True, _text(line, asked.request), asked.about)
            finally:
                line.close()
        except (GomdError, OSError) as error:
            return ActionResult(asked.key, False, str(error), asked.about)


def _text(line: LineSocket, request: Request) -> str:
    limit = None if request.verb == "migrate" else ANSWER_TIMEOUT
    line.ask(Request("format", ("text",)), ANSWER_TIMEOUT)
    status = line.ask(request, limit)
    if status.code != BLOCK:
        return status.text
    return "\n".join(islice(line.rows(limit), MAX_LINES))
