"""
A criu that was started for a dump while the job still runs, and waits before it does anything with the job.

Starting criu takes 10 to 20 ms. Before criu looks at the job it runs its action script ("pre-dump"), which
waits until something comes through a pipe (`gomd.jobs.checkpoint.action_script`). When that is closed the
script fails and criu ends, so nothing of it is left when this process ends. Standard library only:
supervisors use it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint import criu_process
from gomd.jobs.checkpoint.action_script import DUMPED, GO, ActionScript
from gomd.jobs.checkpoint.page_relay import PageRelay
from libgomd.errors import CannotMove

#: Seconds that a criu which has not begun may take to end. It takes milliseconds.
_END_TIMEOUT: Final = 2.0


class BegunDump:
    """
    Starts criu. `close` has to follow, or `let_go`, and then `criu_process.finish` with ``running``.

    :param argv: of the dump, but for the words about its page server.
    :param directory: of the images. :param allows: see `gomd.jobs.checkpoint.criu.Criu.dump`.
    :param more: variables of its environment. :param stdin: its standard input.
    :raises NotPossible: it cannot be started.
    :ivar relay: passes on its memory, as soon as it is given the stream to the page server.
    """

    def __init__(
        self,
        argv: Sequence[str],
        directory: str,
        allows: Callable[[int], None],
        more: Mapping[str, str],
        stdin: int,
    ) -> None:
        self.argv = tuple(argv)
        self._waits = True
        self.relay = PageRelay(None)
        self.script = ActionScript(directory, {DUMPED: allows}, self.relay.descriptors())
        self._reading, self._writing = os.pipe()  # made last: no other process may keep it open
        try:
            self.running = criu_process.start(
                (*argv, *self.relay.words(), *self.script.words()),
                (),
                {**self.script.environment(self._reading), **more},
                None,
                stdin,
                self.relay,
            )
        except BaseException:
            self._close_pipe()
            self.relay.close()
            self.script.close()
            raise

    def let_go(self) -> bool:
        """Let it dump the job. :returns: False when it has ended, and has done nothing with the job."""
        if os.waitid(os.P_PID, self.running.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return False
        os.write(self._writing, GO)  # the script may not have opened it yet, so it stays open
        self._waits = False
        return True

    def close(self) -> None:
        """End it if it still waits. Blocks for milliseconds. May be called twice."""
        if not self._waits:
            return
        self._waits = False
        self._close_pipe()
        self.relay.close()
        with suppress(CannotMove):
            criu_process.finish(self.running, _END_TIMEOUT, -1, None)
        self.script.close()

    def _close_pipe(self) -> None:
        os.close(self._writing)
        os.close(self._reading)
