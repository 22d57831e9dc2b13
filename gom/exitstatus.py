"""Reads from the answer to `gom do` how the command ended, so that `gom` exits in the same way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

#: What ends the output in text.
_EXIT: Final = re.compile(r"exit ([0-9]{1,3})")
#: Where nobody knows how it ended.
FAILED: Final = 1


class ExitStatus:
    """
    Follows the answer of `do`.

    :param json: whether it is in JSON, one object a line.
    """

    def __init__(self, json: bool) -> None:
        self._json = json
        self._last = ""

    def follow(self, lines: Iterable[str]) -> Iterator[str]:
        """Pass the lines of the answer on, each as it comes. The last is the daemon's own."""
        for line in lines:
            self._last = line
            yield line

    @property
    def last(self) -> str:
        """The last line so far."""
        return self._last

    @property
    def has_ended(self) -> bool:
        """Whether the last line says how the command ended. Only for text."""
        return _EXIT.fullmatch(self._last) is not None

    @property
    def status(self) -> int:
        """The command's own exit status, 128 + the signal's number when one ended it, or `FAILED`."""
        if not self._json:
            match = _EXIT.fullmatch(self._last)
            return int(match[1]) if match else FAILED
        import json

        try:
            found = json.loads(self._last)
        except (ValueError, RecursionError):
            return FAILED
        status = found.get("exit") if isinstance(found, dict) else None
        return status if type(status) is int else FAILED
