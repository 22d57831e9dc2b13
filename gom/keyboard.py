"""Our own standard input, as the input of the job, and the escapes that are typed into it."""

from __future__ import annotations

import os
from typing import Final

from gom.escapes import Escape, EscapeParser, help_text, shown
from gom.job_control import JobControl
from gom.terminal import Terminal
from libgomd.wire.attachment import CallerEnd
from libgomd.wire.resumable import CHUNK

_STDIN: Final = 0
_CTRL_C: Final = b"\x03"


class Keyboard:
    """
    Reads standard input when there is room for it, and a terminal only while it is ours.

    :param reads: whether anything is read; else the job's input is empty.
    :param escape: the escape character of a job that has our terminal, None for none.
    :ivar open: whether there may be more input. :ivar interrupted: whether the newest keys had a Ctrl-C.
    """

    def __init__(
        self, end: CallerEnd, terminal: Terminal, control: JobControl, reads: bool, escape: int | None
    ) -> None:
        self._end = end
        self._terminal = terminal
        self._control = control
        self._escape = escape
        self._escapes = EscapeParser(escape)
        self._typed = bytearray()
        self.interrupted = False
        self.open = reads
        if not reads:
            end.end_input()

    def may_read(self, room: bool = True) -> bool:
        """
        Return whether standard input should be read now.

        :param room: whether the connection takes more. Keys are read without it: an escape has to be heard
            whatever the job and the daemon do.
        """
        if not self.open or self._control.is_ending or not self._terminal.look():
            return False
        if self._terminal.is_screen:
            return len(self._typed) < CHUNK
        return room and self._end.input_room() >= CHUNK

    def read(self) -> None:
        """Read what there is. Blocks when there is nothing."""
        try:
            data = os.read(_STDIN, CHUNK)
        except BlockingIOError:
            return
        except OSError:  # we have no standard input, or its terminal was hung up
            data = b""
        if not data:
            self.open = False
            self._end.end_input()
        elif self._terminal.is_screen:
            self.interrupted = _CTRL_C in data
            for found in self._escapes.feed(data):
                if isinstance(found, Escape):
                    self._obey(found)
                else:
                    self._typed += found
        else:
            self._end.send_input(data)

    def pass_on(self) -> None:
        """Hand over the keys for which there is room now."""
        while self._typed and (room := self._end.input_room()):
            self._end.send_input(bytes(self._typed[:room]))
            del self._typed[:room]

    def _obey(self, escape: Escape) -> None:
        assert self._escape is not None
        if escape is Escape.HELP:
            self._terminal.say(
                f"{shown(self._escape)}?\n" + help_text(self._escape, self._control.stays_alone)
            )
        elif escape is Escape.SUSPEND:
            self._terminal.say(f"{shown(self._escape)}^Z [suspend gom]")
            self._control.suspend(whole_group=True)
        else:
            self._terminal.say(f"{shown(self._escape)}.")
            self._control.hang_up()
