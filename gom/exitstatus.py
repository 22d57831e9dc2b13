"""How commands of `gom do` ended, from the lines of the answer: `gom` ends the same way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

#: What ends the output of one node, behind ``ID: `` when many were asked.
_EXIT: Final = re.compile(r"exit ([0-9]{1,3})")
_MARKED: Final = re.compile(r"([0-9]{1,5}): (.*)", re.DOTALL)
#: Of a node that did not run the command, or did not say how it ended.
FAILED: Final = 1


class ExitStatus:
    """
    Follows the answer of `do`.

    :param json: whether it is in JSON, one object a line. :param everywhere: whether `@all` was asked.
    """

    def __init__(self, json: bool, everywhere: bool) -> None:
        self._json = json
        self._everywhere = everywhere
        self._last: dict[str, str] = {}

    def follow(self, lines: Iterable[str]) -> Iterator[str]:
        """Pass the lines of the answer on, each as it comes."""
        for line in lines:
            self._take(line)
            yield line

    def _take(self, line: str) -> None:
        """Keep the last line of each node: whatever the command printed, it is the daemon's own."""
        node = ""
        if self._everywhere and not self._json:
            if found := _MARKED.fullmatch(line):
                node, line = found.groups()
        elif self._everywhere:
            node = str(_value(line, "from"))
        self._last[node] = line

    @property
    def status(self) -> int:
        """
        The command's own exit status, 128 + the signal's number when one ended it.

        Of many nodes the first that is not 0; `FAILED` where it did not run, or nobody knows how it ended.
        """
        statuses = [self._of(line) for line in self._last.values()]
        return next((status for status in statuses if status), 0 if statuses else FAILED)

    def _of(self, line: str) -> int:
        if self._json:
            found = _value(line, "exit")
            return found if isinstance(found, int) else FAILED
        match = _EXIT.fullmatch(line)
        return int(match[1]) if match else FAILED


def _value(line: str, name: str) -> object:
    import json

    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found.get(name) if isinstance(found, dict) else None
